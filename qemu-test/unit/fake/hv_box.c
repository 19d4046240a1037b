/* SPDX-License-Identifier: MIT */
/* No black box, for tests of what writes to it. */
#include <pci.h>

#include "hv_fakes.h"

#define WEAK	__attribute__((weak))

WEAK struct black_box *box;

WEAK void box_exit(struct percpu *pc, struct vcpu *v, const struct vm_exit *e)
{
	(void)pc;
	(void)v;
	(void)e;
}

WEAK uint64_t box_turn(struct percpu *pc, uint64_t now)
{
	(void)pc;
	(void)now;
	return ~0ull;
}

WEAK void box_nmi(uint64_t rip)
{
	(void)rip;
}

WEAK void box_end(void)
{
	cpu_halt_forever();
}

/* No next start of the host partition, either. */
WEAK void pci_stop(void)
{
}

WEAK void start_host(void)
{
	fail();
}

WEAK void restart_host(struct vcpu *v)
{
	(void)v;
	fail();
}
