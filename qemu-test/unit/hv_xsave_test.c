/* SPDX-License-Identifier: MIT */
/*
 * The size of what XSAVEC writes, as guests are told, on a processor that tells
 * another (Bochs 2.7).
 */
#include "hv_fakes.h"

static struct partition part;
static struct vcpu vcpu;
static uint64_t xcr0;		/* loaded */

uint64_t xgetbv(uint32_t reg)
{
	assert_int_equal(reg, 0);
	return xcr0;
}

/* Parts 2 and 5 to 7 as on a Skylake server, but that 5 is shorter, so that it
 * shows that 6 wants its place aligned; and 9, which guests do not get. */
struct cpuid_regs cpuid(uint32_t leaf, uint32_t sub)
{
	static const struct cpuid_regs parts[] = {
		{ 0x2e7, 2696, 2696, 0 }, { 7, 2696, 0, 0 },
		{ 256, 576, 0, 0 }, { 0 }, { 0 }, { 60, 1088, 0, 0 },
		{ 512, 1152, 2, 0 }, { 1024, 1664, 0, 0 }, { 0 },
		{ 8, 2688, 0, 0 },
	};

	if (leaf == 0xd && sub < ARRAY_SIZE(parts)) {
		return parts[sub];
	}
	return (struct cpuid_regs){ leaf == 0 ? 0xd : 0, 0, 0, 0 };
}

static void xsavec_area(void **state)
{
	static const struct {
		uint64_t xcr0;
		uint32_t size;
	} t[] = {
		{ 0x1, 576 }, { 0x3, 576 }, { 0x7, 832 },
		{ 0xe7, 832 + 64 + 512 + 1024 },
		{ 0x2e7, 832 + 64 + 512 + 1024 },
		{ 0x43, 576 + 512 },
	};

	(void)state;
	fakes_reset();
	fake_vcpu_init(&vcpu, &part, 0);
	cpuid_policy_init();
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		xcr0 = t[i].xcr0;
		vcpu.regs.rax = 0xd;
		vcpu.regs.rcx = 1;
		cpuid_emulate(&vcpu);
		assert_int_equal(vcpu.regs.rbx, t[i].size);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(xsavec_area),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
