/* SPDX-License-Identifier: MIT */
/*
 * A CPU's registers that are switched between vCPUs, for the tests of
 * core/vcpu.c: in the one file that includes this.
 */
#ifndef HV_REGISTERS_H
#define HV_REGISTERS_H

#include "hv_fakes.h"

#define XMASK	(XCR0_X87 | XCR0_SSE | XCR0_AVX)

/* The CPU's own registers. */
static struct {
	uint64_t dr[7], cr2, xcr0, fpu, x87_pointers, tsc_aux;
} hw;
static uint32_t writes;		/* of MSRs */

#define DR(n)								\
uint64_t read_dr##n(void)						\
{									\
	return hw.dr[n];						\
}									\
void write_dr##n(uint64_t v)						\
{									\
	hw.dr[n] = v;							\
}
DR(0)
DR(1)
DR(2)
DR(3)
DR(6)

uint64_t read_cr2(void)
{
	return hw.cr2;
}

void write_cr2(uint64_t v)
{
	hw.cr2 = v;
}

uint64_t rdmsr(uint32_t msr)
{
	fail_msg("RDMSR %#x", msr);
	return 0;
}

void wrmsr(uint32_t msr, uint64_t v)
{
	assert_int_equal(msr, MSR_IA32_TSC_AUX);
	hw.tsc_aux = v;
	writes++;
}

uint64_t xgetbv(uint32_t reg)
{
	assert_int_equal(reg, 0);
	return hw.xcr0;
}

void xsetbv(uint32_t reg, uint64_t v)
{
	assert_int_equal(reg, 0);
	hw.xcr0 = v;
}

bool cpu_keeps_x87_pointers;
bool cpu_has_tsc_aux = true;
uint64_t xstate_mask = XMASK;

/* Comes before XRSTOR, or it would undo it; CR0.EM and TS are off. */
void x87_clear_pointers(void)
{
	assert_true(cpu_keeps_x87_pointers);
	hw.x87_pointers = 0;
	hw.fpu = 0xdead;
}

/* The FPU is one word; saved and loaded only with the whole mask enabled. */
void xsave(void *p, uint64_t mask)
{
	assert_int_equal(mask, XMASK);
	assert_int_equal(hw.xcr0, XMASK);
	memcpy((uint8_t *)p + 512, &hw.fpu, 8);
}

void xrstor(const void *p, uint64_t mask)
{
	assert_int_equal(mask, XMASK);
	assert_int_equal(hw.xcr0, XMASK);
	memcpy(&hw.fpu, (const uint8_t *)p + 512, 8);
}

#endif
