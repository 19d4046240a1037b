/* SPDX-License-Identifier: MIT */
/*
 * Templates on their way out and back (core/record.c), with AMD-V's state: what is
 * read is what is there; a record makes the same template of another partition, at
 * another time; and whatever is in a record, no value is left that could harm
 * anybody but the guest.
 */
#include <stdlib.h>

#include "hv_fork.h"
#include "hypervisor/svm/svm.h"

#define OWN	0x8000ull		/* the host's page */

static struct hvm_ops ops;
static struct vmcb vmcbs[4][2];
static struct svm_vcpu backends[4][2];
static union {
	uint8_t byte[PAGE_SIZE];
	uint32_t word[PAGE_SIZE / 4];
	uint64_t quad[PAGE_SIZE / 8];
	struct {
		struct vcpu v;
		uint32_t waits;
		uint64_t backend[HVM_RECORD_BYTES / 8];
		struct channel_record channels[BOOT_MAX_CHANNELS];
	} r;
} good[2], fpu;

uint32_t svm_features, svm_asids = 8;

struct cpuid_regs cpuid(uint32_t leaf, uint32_t sub)
{
	(void)sub;
	return (struct cpuid_regs){ leaf == 0x80000008 ? 40 :
				    leaf == 0xd ? 7 : 0, 0, 0, 0 };
}

static uint8_t *own(void)
{
	struct gpm_entry e;

	assert_true(populate(host, OWN));
	assert_true(gpm_lookup(host, GPA(OWN), &e));
	return hpa_ptr(e.pa);
}

static hv_status_t call(struct partition *t, bool write, uint64_t page,
			uint64_t r10, struct guest_regs *r)
{
	*r = (struct guest_regs){ .rdx = page, .r10 = r10, .r8 = r->r8 };
	return record_call(t, host, write, r);
}

static hv_status_t put_page(struct partition *t, uint64_t n, const void *page,
			    uint64_t start)
{
	struct guest_regs r = { .r8 = start };

	memcpy(own(), page, PAGE_SIZE);
	return call(t, true, HC_FORK_RECORD | n, OWN, &r);
}

static void get_page(struct partition *t, uint64_t n, void *page)
{
	struct guest_regs r = { 0 };

	memset(own(), 0xee, PAGE_SIZE);
	assert_int_equal(call(t, false, HC_FORK_RECORD | n, OWN, &r), HC_OK);
	assert_int_equal(r.rdx, t->start_tsc);
	memcpy(page, own(), PAGE_SIZE);
}

/* A template whose vCPUs are as a Linux's; its record. */
static void prepare_template(void **state)
{
	uint32_t i, k;

	cpuid_policy_init();
	ops = *hvm;
	ops.vcpu_record = svm_vcpu_record;
	hvm = &ops;
	for (i = 0; i < 4; i++) {
		for (k = 0; partitions[i] && k < partitions[i]->vcpu_count; k++) {
			backends[i][k] = (struct svm_vcpu){
				.vmcb = &vmcbs[i][k], .asid = 1 };
			partitions[i]->vcpus[k]->backend = &backends[i][k];
		}
		partitions[i]->native_ports = hpa_ptr(HPA(0x3000));
		partitions[i]->native_msrs = hpa_ptr(HPA(0x5000));
	}
	template(state);
	for (k = 0; k < 2; k++) {
		struct vcpu *v = linux_p->vcpus[k];
		struct vmcb *b = &vmcbs[1][k];

		svm_vcpu_reset(v, &(struct vcpu_start){
			VCPU_RESET_LONG, .rip = 0x1000 + k, .cr3 = 0x7000 });
		b->star = 1;
		b->lstar = b->cstar = ~0ull << 47;
		b->eventinj = EVENTINJ_VALID | 0x41;
		v->xcr0 = 3;
		v->regs.r15 = 15 + k;
		v->dr6 = DR6_RESET;
		v->dr[2] = 77;
		v->lapic.base = 0xfee00c00 | (k ? 0 : APIC_BASE_BSP);
		v->lapic.irr[5] = 4;
		v->lapic.isr[6] = 8;
		v->lapic.isr_top = 6 * 32 + 3;
		v->lapic.svr = 0x1ff;
		v->lapic.deadline = VLAPIC_OFF;
		v->parked_deadline = linux_p->start_tsc + (k ? VLAPIC_OFF -
							   linux_p->start_tsc :
							   500);
		v->tsc_offset = -linux_p->start_tsc + 9;
		v->kvmclock_msr = 0x5001;
		v->kvmclock_version = 4;
		v->attention = VCPU_ATT_NMI;
		((uint32_t *)v->fpu)[6] = 0x1f80;
		((uint64_t *)v->fpu)[64] = 3;
	}
	get_page(linux_p, 0, &good[0]);
	get_page(linux_p, 2, &good[1]);
	get_page(linux_p, 1, &fpu);
}

static void memory(void **state)
{
	struct guest_regs r = { 0 };
	const uint64_t *page = (const uint64_t *)(const void *)own();
	struct gpm_entry e;
	uint32_t i;

	prepare_template(state);
	assert_int_equal(call(linux_p, false, UNIT(0) + 0x3000, OWN, &r), HC_OK);
	assert_int_equal(r.rsi, 1);
	assert_int_equal(r.rdi, UNIT(0) + 0x4000);
	assert_int_equal(((const uint8_t *)page)[8], 3 % 251 + 1);
	/* reserved, as in a table, and not there at all */
	assert_int_equal(call(linux_p, false, UNIT(2) + 0x70000, OWN, &r), HC_OK);
	assert_int_equal(r.rsi, 0);
	assert_int_equal(r.rdi, UNIT(2) + 0x71000);
	assert_int_equal(call(linux_p, false, UNIT(3) + 0x5000, OWN, &r), HC_OK);
	assert_int_equal(r.rsi, 0);
	assert_int_equal(r.rdi, UNIT(4));
	/* a channel, a hole, beyond all */
	assert_int_equal(call(linux_p, false, 0xe4000000, OWN, &r), HC_EINVAL);
	assert_int_equal(call(linux_p, false, 0xa0000, OWN, &r), HC_EINVAL);
	assert_int_equal(call(linux_p, false, BIT64(48), OWN, &r), HC_EINVAL);
	assert_int_equal(call(linux_p, false, BIT64(48) + UNIT(0), OWN, &r),
			 HC_EINVAL);
	/* the caller's page: aligned, its own RAM, touched */
	assert_int_equal(call(linux_p, false, UNIT(0), OWN + 8, &r), HC_EINVAL);
	assert_int_equal(call(linux_p, false, UNIT(0), ~0xfffull, &r), HC_EINVAL);
	assert_int_equal(call(linux_p, false, UNIT(0), MACHINE, &r), HC_EINVAL);
	assert_int_equal(call(linux_p, false, UNIT(0), 0xb000, &r), HC_EINVAL);
	/* and to be written */
	assert_true(populate(host, OWN + PAGE_SIZE));
	assert_int_equal(gpm_split(host, GPA(OWN + PAGE_SIZE)), HC_OK);
	assert_true(gpm_lookup(host, GPA(OWN + PAGE_SIZE), &e));
	for (i = 0; i < 2; i++) {
		gpm_clear(host, GPA(OWN + PAGE_SIZE));
		assert_int_equal(gpm_map(host, GPA(OWN + PAGE_SIZE), e.pa,
					 PAGE_SIZE, i ? GPM_ALL : GPM_READ),
				 HC_OK);
		assert_int_equal(call(linux_p, false, UNIT(0), OWN + PAGE_SIZE,
				      &r), i ? HC_OK : HC_EINVAL);
	}
	/* pages of the record that there are */
	assert_int_equal(call(linux_p, false, HC_FORK_RECORD | 4, OWN, &r),
			 HC_EINVAL);
	assert_int_equal(call(linux_p, false, ~0ull, OWN, &r), HC_EINVAL);
	assert_int_equal(call(linux_p, true, HC_FORK_RECORD | 4, OWN, &r),
			 HC_EINVAL);
	assert_int_equal(call(linux_p, true, UNIT(0), OWN, &r), HC_EINVAL);
	/* who is a template, and without children */
	assert_int_equal(call(child[0], false, UNIT(0), OWN, &r), HC_EBUSY);
	assert_int_equal(call(host, false, OWN, OWN, &r), HC_EBUSY);
	forked(0);
	assert_int_equal(call(linux_p, false, UNIT(0), OWN, &r), HC_OK);
	assert_int_equal(put_page(linux_p, 0, &good[0], 0), HC_EBUSY);
	stop(child[0]);
	check_accounts();
}

/* Nothing of the hypervisor's: no pointer, and nothing of the controls. */
static void no_secrets(void **state)
{
	uint32_t i, k;

	(void)state;
	for (k = 0; k < 2; k++) {
		assert_null(good[k].r.v.backend);
		assert_null(good[k].r.v.partition);
		assert_null(good[k].r.v.fpu);
		for (i = 0; i < ARRAY_SIZE(good[k].quad); i++) {
			assert_int_not_equal(good[k].quad[i],
					     (uintptr_t)linux_p->vcpus[k]);
			assert_int_not_equal(good[k].quad[i],
					     linux_p->gpm_root.v);
		}
	}
}

/* The stopped one becomes a template. */
static void hatch(struct partition *p)
{
	hv_status_t st = fork_call(HC_FORK_RESTORE, p->id, 0);
	uint32_t k;

	for (; st == HC_EAGAIN; st = fork_call(HC_FORK_FREEZE, p->id, 0)) {
		for (k = 0; k < 2; k++) {
			struct vcpu *v = p->vcpus[k];

			assert_int_equal(v->attention, VCPU_ATT_RESET |
					 VCPU_ATT_PARK);
			assert_int_equal(v->state, VCPU_RUNNABLE);
			v->attention = 0;
			fork_park(v, VCPU_ATT_PARK);
		}
	}
	assert_int_equal(st, HC_OK);
	assert_int_equal(p->state, HC_STATE_FROZEN);
}

/* The same, of another partition, on a machine whose TSC is 100,000 less. */
static void round_trip(void **state)
{
	const uint64_t start = linux_p->start_tsc - 100000;
	struct partition *p = child[1];
	uint32_t k;

	(void)state;
	hatch(p);
	for (k = 0; k < 2; k++) {
		struct vcpu *v = p->vcpus[k], *t = linux_p->vcpus[k];

		assert_int_equal(put_page(p, 2 * k, &good[k], start), HC_OK);
		assert_int_equal(put_page(p, 2 * k + 1, &fpu, start), HC_OK);
		assert_int_equal(v->state, VCPU_PARKED);
		assert_int_equal(v->attention, VCPU_ATT_NMI | VCPU_ATT_INTR);
		assert_memory_equal(&v->regs, &t->regs, sizeof(v->regs));
		assert_memory_equal(v->fpu, t->fpu, PAGE_SIZE);
		assert_int_equal(v->tsc_offset, t->tsc_offset + 100000);
		assert_int_equal(v->parked_deadline,
				 k ? VLAPIC_OFF : start + 500);
		assert_memory_equal(&v->lapic.irr, &t->lapic.irr,
				    offsetof(struct vlapic, timer_period) -
				    offsetof(struct vlapic, irr));
		assert_int_equal(v->lapic.isr_top, t->lapic.isr_top);
		assert_int_equal(v->dr[2], 77);
		assert_int_equal(v->kvmclock_msr, 0x5001);
		assert_memory_equal(&vmcbs[3][k].es, &vmcbs[1][k].es,
				    offsetof(struct vmcb, dbgctl) -
				    offsetof(struct vmcb, es));
		assert_int_equal(vmcbs[3][k].eventinj, EVENTINJ_VALID | 0x41);
		assert_int_equal(vmcbs[3][k].n_cr3, p->gpm_root.v);
		assert_int_equal(vmcbs[3][k].intercept_misc2 & MISC2(VMRUN),
				 MISC2(VMRUN));
	}
	assert_int_equal(p->start_tsc, start);
	/* before this machine's time: at once */
	assert_int_equal(put_page(p, 0, &good[0], -1000ull), HC_OK);
	assert_int_equal(p->vcpus[0]->parked_deadline, 0);
	assert_int_equal(put_page(p, 0, &good[0], start), HC_OK);
	/* its children begin there */
	assert_int_equal(fork_call(HC_FORK_CHILD, 3, 2), HC_OK);
	assert_int_equal(child[0]->start_tsc, start);
	assert_int_equal(child[0]->vcpus[0]->state, VCPU_RUNNABLE);
	fork_vcpu(child[0]->vcpus[0]);
	assert_int_equal(child[0]->vcpus[0]->regs.r15, 15);
	stop(child[0]);
	check_accounts();
}

/* One value, and what is left of it; refused: the record is. */
#define REFUSED(field, value) do {					\
	__auto_type was_ = (field);					\
	(field) = (value);						\
	assert_int_equal(put_page(child[1], 0, &good[0], 1), HC_EINVAL);	\
	(field) = was_;							\
	assert_int_equal(put_page(child[1], 0, &good[0], 1), HC_OK);	\
} while (0)

static void refused(void **state)
{
	/* svm_vcpu_record(): four words, then the state save area */
	struct vmcb *b = (struct vmcb *)(void *)((uint8_t *)
		&good[0].r.backend[4] - offsetof(struct vmcb, es));
	struct vcpu *v = &good[0].r.v;

	(void)state;
	REFUSED(v->xcr0, 0);
	REFUSED(v->xcr0, 2);
	REFUSED(v->xcr0, 3 | BIT64(9));
	REFUSED(v->xcr0, BIT64(63) | 3);
	REFUSED(v->dr6, BIT64(32));
	cpu_has_tsc_aux = true;
	REFUSED(v->tsc_aux, BIT64(32));
	cpu_has_tsc_aux = false;
	REFUSED(v->tsc_aux, 1);
	REFUSED(b->cr0, b->cr0 | CR0_CD);
	REFUSED(b->cr0, b->cr0 & ~CR0_PE);
	REFUSED(b->cr0, b->cr0 | BIT64(40));
	REFUSED(b->cr4, b->cr4 | BIT64(22));
	REFUSED(b->cr4, b->cr4 | CR4_VMXE);
	REFUSED(b->cr4, 0);
	REFUSED(b->efer, b->efer & ~EFER_SVME);
	REFUSED(b->efer, b->efer | BIT64(15));
	REFUSED(b->efer, b->efer & ~EFER_LMA);
	REFUSED(b->efer, b->efer & ~EFER_LME);
	REFUSED(b->g_pat, 2);
	REFUSED(b->cr3, BIT64(40));
	REFUSED(b->dr6, BIT64(32));
	REFUSED(b->dr7, BIT64(32));
	REFUSED(b->lstar, BIT64(47));
	REFUSED(b->cstar, BIT64(60));
	REFUSED(b->sfmask, BIT64(32));
	REFUSED(b->cpl, 4);
	REFUSED(b->cs.attrib, b->cs.attrib | BIT32(10));
	REFUSED(good[0].r.backend[1], EVENTINJ_VALID | 7 << 8);
	REFUSED(good[0].r.backend[1], EVENTINJ_VALID | 3 << 8 | 2);
}

/* What load() leaves, whatever was there. */
static void harmless(const struct vcpu *v)
{
	const struct vlapic *l = &v->lapic;
	const struct svm_vcpu *x = v->backend;

	assert_true(v->state == VCPU_PARKED || v->state == VCPU_WAIT_SIPI);
	assert_int_equal(v->attention & ~(VCPU_ATT_INTR | VCPU_ATT_NMI |
			 VCPU_ATT_INIT | VCPU_ATT_RESET), 0);
	assert_true(l->isr_top >= -1 && l->isr_top < 256);
	assert_true(l->isr_top < 0 || l->isr[l->isr_top / 32] >>
		    (l->isr_top % 32) & 1);
	assert_int_equal(l->id, v->index);
	assert_int_equal(l->base & ~0xd00ull, 0xfee00000);
	assert_true((l->base & APIC_BASE_EN) || !(l->base & APIC_BASE_EXTD));
	assert_true(l->timer_period >= boot.tsc_hz / 1000000 * 50);
	assert_int_equal((l->irr[0] | l->isr[0]) & 0xffff, 0);
	assert_true(l->deadline == VLAPIC_OFF);
	assert_true(!(v->parked_deadline >> 63) ||
		    v->parked_deadline == VLAPIC_OFF);
	assert_true(v->start.kind == VCPU_RESET_LONG ||
		    v->start.kind == VCPU_RESET_SIPI);
	assert_int_equal(v->tsc_aux | v->dr6 >> 32, 0);
	assert_true(v->xcr0 & 1);
	assert_int_equal(v->xcr0 & ~xstate_mask, 0);
	assert_int_equal(x->vmcb->intercept_misc2 & MISC2(VMRUN), MISC2(VMRUN));
	assert_int_equal(x->vmcb->int_ctl, INT_CTL_V_INTR_MASKING);
	assert_int_equal(x->vmcb->cr0 & (CR0_CD | CR0_NW), 0);
	assert_int_equal(x->vmcb->efer & ~(EFER_SVME | 0xd01), 0);
	assert_ptr_equal(v->partition, child[1]);
	assert_in_range(*(const uint8_t *)&v->dr_armed |
			*(const uint8_t *)&v->halted |
			*(const uint8_t *)&v->halt_if, 0, 1);
	assert_int_equal(v->kvmclock_msr & 2, 0);
}

/* A record with some words of it anything, and one of nothing else. */
static void hostile(void **state)
{
	static __typeof__(good[0]) page;
	uint32_t step, i, taken = 0;

	(void)state;
	srand(10);
	for (step = 0; step < 40000; step++) {
		page = good[step & 1];
		for (i = 0; i < 1 + (uint32_t)rand() % 4; i++) {
			page.word[(uint32_t)rand() % 500] =
				(uint32_t)rand() << (rand() % 3);
		}
		for (i = 0; step % 64 == 0 && i < ARRAY_SIZE(page.word); i++) {
			page.word[i] = (uint32_t)rand() * 3;
		}
		if (put_page(child[1], 2 * (step & 1), &page,
			     (uint64_t)rand() << 32) == HC_OK) {
			harmless(child[1]->vcpus[step & 1]);
			taken++;
		}
	}
	assert_in_range(taken, 10000, 39000);
	/* XRSTOR's operand */
	memset(&page, 0xff, PAGE_SIZE);
	assert_int_equal(put_page(child[1], 3, &page, 0), HC_OK);
	memcpy(&page, child[1]->vcpus[1]->fpu, PAGE_SIZE);
	assert_int_equal(page.word[6], 0xffff);
	assert_int_equal(page.quad[64], xstate_mask);
	for (i = 65; i < 72; i++) {
		assert_int_equal(page.quad[i], 0);
	}
	/* a restored template ends like any, and nothing of it is left */
	stop(child[1]);
	assert_int_equal(child[1]->vcpus[0]->attention, 0);
	stop(linux_p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory),
		cmocka_unit_test(no_secrets),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(refused),
		cmocka_unit_test(hostile),
	};

	return cmocka_run_group_tests(tests, fork_machine, NULL);
}
