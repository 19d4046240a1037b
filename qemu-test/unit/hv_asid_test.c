/* SPDX-License-Identifier: MIT */
/*
 * ASIDs where there are few: each CPU's vCPUs have their own, and those that
 * must share one find nothing of each other's in the TLB. And that an entry after
 * a mapping was taken away flushes, and says so, as core/release.c wants it;
 * what a child's VMCB has of its template's; how long a run with an event is let
 * alone.
 */
#include "hv_fakes.h"
#include "hypervisor/svm/svm.h"

#define MEMORY	(64 * PAGE_SIZE)

static struct partition part;
static struct vcpu vcpu[12];
static uint64_t next_page;
static uint8_t flushed;
static uint64_t raise_to;	/* part.gpm_epoch, while in the guest */
static uint64_t armed;		/* the LAPIC's timer */
static bool stopped;		/* it was stopped before that */

hpa_t frame_boot(uint8_t owner, uint64_t bytes, const char *what)
{
	(void)owner;
	(void)bytes;
	(void)what;
	assert_true(next_page < MEMORY);
	return HPA(next_page += PAGE_SIZE);
}

bool cr_valid(uint64_t cr0, uint64_t cr4, uint64_t efer, uint64_t pat)
{
	(void)cr0;
	(void)cr4;
	(void)efer;
	(void)pat;
	return true;
}

bool syscall_valid(const uint64_t *msr)
{
	(void)msr;
	return true;
}

void guest_fetch_forget(struct vcpu *v)
{
	(void)v;
}

uint32_t guest_fetch(struct vcpu *v, uint64_t at, uint64_t cr3,
		     uint8_t *bytes, uint32_t max)
{
	(void)v;
	(void)at;
	(void)cr3;
	(void)bytes;
	(void)max;
	return 0;
}

void lapic_timer_start(uint64_t tsc_deadline)
{
	armed = tsc_deadline;
}

void lapic_timer_stop(void)
{
	stopped = true;
}

void svm_enter(struct guest_regs *regs, uint64_t vmcb_pa, uint64_t host_pa)
{
	struct vmcb *b = hpa_ptr(HPA(vmcb_pa));

	(void)regs;
	(void)host_pa;
	flushed = b->tlb_control;
	part.gpm_epoch = raise_to ? raise_to : part.gpm_epoch;
	b->exitcode = SVM_EXIT_INTR;
}

static uint32_t asid(uint32_t i)
{
	return ((struct svm_vcpu *)vcpu[i].backend)->asid;
}

static bool run_flushes(uint32_t i)
{
	struct vm_exit e;

	hvm_svm.vcpu_run(&vcpu[i], 0, &e);
	return flushed != 0;
}

static void few(void **state)
{
	uint32_t i;

	(void)state;
	fakes_reset();
	fake_memory_map(MEMORY);
	svm_asids = 8;
	for (i = 0; i < ARRAY_SIZE(vcpu); i++) {
		memset(&vcpu[i], 0, sizeof(vcpu[i]));
		vcpu[i].partition = &part;
		vcpu[i].cpu = &fake_cpu[i == 1];
		hvm_svm.vcpu_init(&vcpu[i]);
	}
	/* another CPU's count for themselves; 0 is the hypervisor's */
	assert_int_equal(asid(0), 1);
	assert_int_equal(asid(1), 1);
	assert_int_equal(asid(2), 2);
	assert_int_equal(asid(6), 6);
	for (i = 7; i < ARRAY_SIZE(vcpu); i++) {
		assert_int_equal(asid(i), 7);
	}
	/* its own: nothing to flush, whoever ran before */
	assert_false(run_flushes(0));
	assert_false(run_flushes(2));
	assert_false(run_flushes(0));
	/* the shared one: after another one's run only */
	assert_true(run_flushes(8));
	assert_false(run_flushes(8));
	assert_false(run_flushes(0));
	assert_false(run_flushes(8));
	assert_true(run_flushes(9));
	assert_false(run_flushes(9));
	assert_true(run_flushes(8));
}

/* Another CPU takes a mapping away while v is in its guest: v has not seen it,
 * and does at its next entry. */
static void epoch(void **state)
{
	struct vcpu *v = &vcpu[0];

	(void)state;
	part.gpm_epoch = 7;
	raise_to = 8;
	assert_true(run_flushes(0));
	raise_to = 0;
	assert_int_equal(v->gpm_epoch, 7);
	assert_true(run_flushes(0));
	assert_int_equal(v->gpm_epoch, 8);
	assert_false(run_flushes(0));
	/* a flush for another reason is told as what it is */
	v->gpm_epoch = 0;
	assert_true(run_flushes(0));
	assert_int_equal(v->gpm_epoch, 8);
}

/* A child's vCPU gets all that the guest had, and keeps what is its own: the
 * tables of its partition, its ASID, its TSC offset. */
static void copying(void **state)
{
	static struct partition other;
	struct svm_vcpu *f = vcpu[2].backend, *x = vcpu[3].backend;
	static struct vmcb want;
	uint64_t i;

	(void)state;
	part.gpm_root = HPA(0x1000);
	other.gpm_root = HPA(0x2000);
	part.native_ports = hpa_ptr(HPA(0x3000));
	other.native_ports = hpa_ptr(HPA(0x4000));
	part.native_msrs = hpa_ptr(HPA(0x5000));
	other.native_msrs = hpa_ptr(HPA(0x6000));
	vcpu[3].partition = &other;
	vcpu[3].tsc_offset = 77;
	vcpu[3].gpm_epoch = 5;
	for (i = 0; i < sizeof(*f->vmcb); i++) {
		((uint8_t *)f->vmcb)[i] = (uint8_t)(i * 7 + 1);
	}
	f->nmi_blocked = true;
	f->cr4_mce = CR4_MCE;
	f->iret_rip = 0x1234;
	want = *f->vmcb;
	hvm_svm.vcpu_copy(&vcpu[2], NULL);
	assert_memory_equal(f->vmcb, &want, sizeof(want));
	hvm_svm.vcpu_copy(&vcpu[3], &vcpu[2]);
	assert_memory_equal(f->vmcb, &want, sizeof(want));
	want.n_cr3 = 0x2000;
	want.iopm_base_pa = 0x4000;
	want.msrpm_base_pa = 0x6000;
	want.guest_asid = asid(3);
	want.tsc_offset = 77;
	assert_memory_equal(x->vmcb, &want, sizeof(want));
	assert_true(x->nmi_blocked);
	assert_int_equal(x->cr4_mce, CR4_MCE);
	assert_int_equal(x->iret_rip, 0x1234);
	assert_int_not_equal(x->vmcb_pa, f->vmcb_pa);
	assert_int_equal(vcpu[3].gpm_epoch, 0);
}

/* What one run arms the timer with. */
static uint64_t arms(uint64_t limit, bool *again)
{
	struct vm_exit e;

	stopped = false;
	hvm_svm.vcpu_run(&vcpu[0], limit, &e);
	*again = stopped;
	return armed;
}

/* A time limit that would end the run with the event, or just behind it, is put
 * off, armed or not, but for no longer than a handler needs. */
static void event_alone(void **state)
{
	struct vmcb *b = ((struct svm_vcpu *)vcpu[0].backend)->vmcb;
	const struct vm_event ev = { .type = VM_EVENT_NMI, .vector = 2 };
	uint64_t now, limit;
	bool again;

	(void)state;
	memset(b, 0, sizeof(*b));
	now = rdtsc();
	assert_int_equal(arms(now + 500, &again), now + 500);
	assert_false(again);
	assert_true(hvm_svm.vcpu_inject(&vcpu[0], ev));
	now = rdtsc();
	limit = arms(now + 500, &again);
	assert_true(limit >= now + 1000 && limit <= rdtsc() + 1000);
	assert_true(again);
	/* it was delivered with that run */
	now = rdtsc();
	assert_int_equal(arms(now + 500, &again), now + 500);
	/* and what is far anyway stays */
	((struct svm_vcpu *)vcpu[0].backend)->nmi_blocked = false;
	assert_true(hvm_svm.vcpu_inject(&vcpu[0], ev));
	limit = rdtsc() + (1ull << 40);
	assert_int_equal(arms(limit, &again), limit);
	assert_false(again);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(few),
		cmocka_unit_test(epoch),
		cmocka_unit_test(copying),
		cmocka_unit_test(event_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
