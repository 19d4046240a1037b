/* SPDX-License-Identifier: MIT */
/* For devices that have none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

uint32_t fake_port_in(uint16_t port, unsigned size)
{
	fail_msg("port %x %u", port, size);
	return 0;
}

void fake_port_out(uint16_t port, unsigned size, uint32_t value)
{
	fail_msg("port %x %u %x", port, size, value);
}
