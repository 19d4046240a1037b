/* SPDX-License-Identifier: MIT */
/* Machine checks: what a bank says, what follows from it, who is told. */
#include <mc.h>

#include "hv_fakes.h"

#define BANKS	4u

static uint64_t bank[BANKS][4], mcg_cap, mcg_status, mcg_ctl;
static uint32_t logged;
static bool mca;

struct cpuid_regs cpuid(uint32_t leaf, uint32_t sub)
{
	assert_int_equal(leaf, 1);
	assert_int_equal(sub, 0);
	return (struct cpuid_regs){ .edx = mca ? BIT32(14) : 0 };
}

static uint64_t *msr_at(uint32_t msr)
{
	assert_true(mca);
	switch (msr) {
	case 0x179:
		return &mcg_cap;
	case 0x17a:
		return &mcg_status;
	case 0x17b:
		assert_true(mcg_cap & BIT64(8));	/* else #GP */
		return &mcg_ctl;
	default:
		assert_in_range(msr, 0x400, 0x400 + 4 * BANKS - 1);
		return &bank[(msr - 0x400) / 4][msr % 4];
	}
}

uint64_t rdmsr(uint32_t msr)
{
	/* a processor without them raises #GP */
	if (msr >= 0x400 && msr % 4 >= 2) {
		assert_true(bank[(msr - 0x400) / 4][1] &
			    (msr % 4 == 2 ? BIT64(58) : BIT64(59)));
	}
	return mca ? *msr_at(msr) : 0;
}

void wrmsr(uint32_t msr, uint64_t v)
{
	if (mca) {
		*msr_at(msr) = v;
	} else {
		assert_int_equal(msr, 0x17a);
	}
}

void log_write(const char *fmt, ...)
{
	(void)fmt;
	logged++;
}

static int make(void **state)
{
	(void)state;
	fakes_reset();
	memset(bank, 0, sizeof(bank));
	mcg_cap = BANKS | BIT64(8);
	mcg_status = mcg_ctl = 0;
	logged = 0;
	mca = true;
	return 0;
}

#define ERROR	(MC_STATUS_VAL | MC_STATUS_UC | MC_STATUS_EN)

static void severities(void **state)
{
	static const struct {
		uint64_t status;
		enum mc_severity want;
	} t[] = {
		{ 0, MC_NONE }, { ~MC_STATUS_VAL, MC_NONE },
		{ MC_STATUS_VAL | 0x150, MC_CORRECTED },
		{ MC_STATUS_VAL | MC_STATUS_EN | MC_STATUS_OVER, MC_CORRECTED },
		{ MC_STATUS_VAL | MC_STATUS_UC | MC_STATUS_PCC, MC_CORRECTED },
		{ ERROR, MC_UNCORRECTED },
		{ ERROR | MC_STATUS_PCC, MC_FATAL },
		{ ERROR | MC_STATUS_OVER, MC_FATAL }, { ~0ull, MC_FATAL },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		assert_int_equal(mc_severity(t[i].status, false), t[i].want);
		/* found, but not used yet; or used */
		assert_int_equal(mc_severity(t[i].status & ~MC_STATUS_AR, true),
				 t[i].want == MC_UNCORRECTED ? MC_CORRECTED :
				 t[i].want);
		assert_int_equal(mc_severity(t[i].status | MC_STATUS_AR, true),
				 t[i].want);
	}
}

static void verdicts(void **state)
{
	/* RIPV, EIPV, worst, recovery: in a guest, in the hypervisor */
	static const struct {
		uint64_t mcg;
		enum mc_severity worst;
		bool recovery;
		enum mc_verdict guest, own;
	} t[] = {
		/* nothing of this CPU's, or no word on how to go on */
		{ 1, MC_NONE, false, MC_GO_ON, MC_GO_ON },
		{ 1, MC_CORRECTED, false, MC_GO_ON, MC_GO_ON },
		{ 3, MC_CORRECTED, true, MC_GO_ON, MC_GO_ON },
		{ 2, MC_NONE, false, MC_END_PARTITION, MC_PANIC },
		{ 2, MC_CORRECTED, true, MC_END_PARTITION, MC_PANIC },
		{ 0, MC_NONE, true, MC_PANIC, MC_PANIC },
		/* its own */
		{ 1, MC_UNCORRECTED, false, MC_END_PARTITION, MC_PANIC },
		{ 2, MC_UNCORRECTED, false, MC_END_PARTITION, MC_PANIC },
		{ 3, MC_UNCORRECTED, true, MC_END_PARTITION, MC_PANIC },
		{ 2, MC_UNCORRECTED, true, MC_END_PARTITION, MC_PANIC },
		{ 0, MC_UNCORRECTED, true, MC_PANIC, MC_PANIC },
		/* another CPU's, in a bank of both */
		{ 1, MC_UNCORRECTED, true, MC_GO_ON, MC_GO_ON },
		{ 1, MC_FATAL, true, MC_PANIC, MC_PANIC },
		{ 3, MC_FATAL, false, MC_PANIC, MC_PANIC },
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(t); i++) {
		assert_int_equal(mc_judge(t[i].mcg, t[i].worst, t[i].recovery,
					  true), t[i].guest);
		assert_int_equal(mc_judge(t[i].mcg, t[i].worst, t[i].recovery,
					  false), t[i].own);
	}
}

static void start(void **state)
{
	uint32_t i;

	(void)state;
	bank[2][1] = ERROR;
	mc_init();
	assert_int_equal(logged, 1);
	assert_int_equal(mcg_ctl, ~0ull);
	for (i = 0; i < BANKS; i++) {
		assert_int_equal(bank[i][0], ~0ull);
		assert_int_equal(bank[i][1], 0);
	}
	/* no MCG_CTL; no banks at all; more than there are MSRs for */
	mcg_cap = BANKS;
	mc_init();
	mca = false;
	mc_init();
}

static void in_a_guest(void **state)
{
	uint64_t status = 1;

	make(state);
	mcg_status = MCG_STATUS_RIPV | BIT64(2);
	assert_true(mc_in_guest(&status));
	assert_int_equal(logged, 0);
	assert_int_equal(mcg_status, 0);	/* the next one may come */
	/* the worst counts, all are logged and cleared */
	mcg_status = MCG_STATUS_RIPV | BIT64(2);
	bank[0][1] = MC_STATUS_VAL;
	bank[1][1] = ERROR | BIT64(58) | 0x134;
	bank[1][2] = 0xabc000;
	bank[3][1] = MC_STATUS_VAL;
	assert_false(mc_in_guest(&status));
	assert_int_equal(status, ERROR | BIT64(58) | 0x134);
	assert_int_equal(logged, 3);
	assert_int_equal(bank[0][1] | bank[1][1] | bank[3][1], 0);
	/* another CPU's is left to that CPU */
	mcg_cap |= BIT64(24);
	mcg_status = MCG_STATUS_RIPV;
	bank[1][1] = ERROR | MC_STATUS_AR;
	assert_true(mc_in_guest(&status));
	assert_int_equal(logged, 3);
	assert_int_equal(bank[1][1], ERROR | MC_STATUS_AR);
	mcg_status = MCG_STATUS_RIPV | MCG_STATUS_EIPV;
	assert_false(mc_in_guest(&status));
	assert_int_equal(logged, 4);
	assert_int_equal(bank[1][1], 0);
	/* found by nobody's access: told, and that is all */
	mcg_status = MCG_STATUS_RIPV;
	bank[1][1] = ERROR;
	assert_true(mc_in_guest(&status));
	assert_int_equal(logged, 5);
	assert_int_equal(bank[1][1], 0);
	mcg_status = MCG_STATUS_RIPV;
	bank[1][1] = ERROR | MC_STATUS_PCC;
	assert_panics(mc_in_guest(&status));
}

static void in_the_hypervisor(void **state)
{
	make(state);
	mcg_status = MCG_STATUS_RIPV | BIT64(2);
	bank[0][1] = MC_STATUS_VAL;
	mc_in_hypervisor();
	assert_int_equal(mcg_status, 0);
	bank[1][1] = ERROR;
	mcg_status = MCG_STATUS_RIPV;
	assert_panics(mc_in_hypervisor());
	/* nothing that could wait for a lock; the banks are the firmware's */
	assert_int_equal(logged, 0);
	assert_int_equal(bank[0][1], MC_STATUS_VAL);
	assert_int_equal(bank[1][1], ERROR);
}

#define TEST(f)	cmocka_unit_test_setup(f, make)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(severities), TEST(verdicts), TEST(start),
		TEST(in_a_guest), TEST(in_the_hypervisor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
