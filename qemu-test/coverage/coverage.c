/* SPDX-License-Identifier: MIT */
/*
 * What of the hypervisor has run, linked only into hypervisor-coverage.elf. The
 * compiler has put a call in front of each block of code; the first time that one
 * is made, a line on the second serial port says where: "\nC 1234\n", from the
 * image's beginning. tools/coverage makes lines of the source of it.
 *
 * May be called anywhere, with any lock held and in any handler: it uses nothing
 * but the port. Two CPUs may write at once: then a line is lost, or another block
 * told, which does not exist.
 */
#include <hv.h>
#include <x86.h>

#define COM2		0x2f8u
#define UART_LCR	3u
#define LCR_8N1		3u		/* and no access to the divisor */
#define UART_LSR	5u
#define LSR_THRE	0x20u
#define IMAGE_MAX	(2u << 20)

extern const char image_start[];

static uint8_t seen[IMAGE_MAX / 8];

void __sanitizer_cov_trace_pc(void);

static void put_byte(char c)
{
	while (!(inb(COM2 + UART_LSR) & LSR_THRE)) {
		cpu_pause();
	}
	outb(COM2, (uint8_t)c);
}

/** The compiler's. */
void __sanitizer_cov_trace_pc(void)
{
	uint64_t at = (uint64_t)__builtin_return_address(0) -
		      (uint64_t)image_start;
	uint8_t bit = (uint8_t)(1u << (at & 7));
	int shift;

	if (at >= IMAGE_MAX || (seen[at / 8] & bit)) {
		return;
	}
	seen[at / 8] |= bit;
	/* Before host-bridge has it the line is as the firmware left it. */
	outb(COM2 + UART_LCR, LCR_8N1);
	put_byte('\n');
	put_byte('C');
	put_byte(' ');
	for (shift = 20; shift >= 0; shift -= 4) {
		put_byte("0123456789abcdef"[at >> shift & 15]);
	}
	put_byte('\n');
}
