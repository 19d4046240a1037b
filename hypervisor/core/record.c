/* SPDX-License-Identifier: MIT */
/*
 * What a template is, for the host partition to keep and to give back (HC_FORK):
 * its memory, page by page, and a record, two pages for each vCPU: its state, and
 * its FPU's. What a record has for this build of the hypervisor alone; who made
 * it is not known, so it is read once into a page of ours, and every value that
 * could do more than harm a guest is cut to what a guest's can be, or refused.
 * What is left may still be no state that a processor enters: then the child
 * ends, as any partition does.
 *
 * Times in it count from the partition's start, as the next machine's TSC is
 * another.
 *
 * On CPU 0, from calls of the host partition's one vCPU. A template runs no more,
 * and one that is written has no children, so no lock is held.
 */
#include <hv.h>
#include <partition.h>
#include <x86.h>

#define KEPT	(VCPU_ATT_INTR | VCPU_ATT_NMI | VCPU_ATT_INIT | VCPU_ATT_RESET)

static struct record {
	struct vcpu v;			/* as far as backend; attention */
	uint32_t waits;			/* for a start-up IPI */
	uint64_t backend[HVM_RECORD_BYTES / 8];
	struct channel_record channels[BOOT_MAX_CHANNELS];	/* vCPU 0 */
} __attribute__((aligned(PAGE_SIZE))) page;
_Static_assert(sizeof(page) == PAGE_SIZE, "a record's page");
/* with another layout these numbers and the version are others */
_Static_assert(HC_RECORD_VERSION == 1 && sizeof(struct vlapic) == 0x120 &&
	       offsetof(struct vcpu, backend) == 0x238, "HC_RECORD_VERSION");

/* The state of t's vCPU v into the page. */
static void save(struct partition *t, struct vcpu *v)
{
	zero_memory(&page, PAGE_SIZE);
	__builtin_memcpy(&page.v, v, offsetof(struct vcpu, backend));
	page.v.tsc_offset += t->start_tsc;
	page.v.parked_deadline -= page.v.parked_deadline == VLAPIC_OFF ? 0 :
				  t->start_tsc;
	page.v.attention = v->attention | v->kept;
	page.waits = v->state == VCPU_WAIT_SIPI;
	(void)hvm->vcpu_record(v, page.backend, false);
	channel_record(t, page.channels, false);
}

/* The state of t's vCPU v from the page; false: it can be no guest's, and v is of
 * no use. */
static bool load(struct partition *t, struct vcpu *v)
{
	struct vcpu *r = &page.v;
	uint8_t *flags[] = { (uint8_t *)&r->dr_armed, (uint8_t *)&r->halted,
			     (uint8_t *)&r->halt_if };

	for (uint32_t i = 0; i < ARRAY_SIZE(flags); i++) {
		*flags[i] &= 1;
	}
	r->tsc_offset -= t->start_tsc;
	if (r->parked_deadline != VLAPIC_OFF) {
		r->parked_deadline += t->start_tsc;
		/* before this machine's time: now */
		r->parked_deadline = r->parked_deadline >> 63 ? 0 :
				     r->parked_deadline;
	}
	r->kvmclock_msr &= ~2ull;
	r->start = (struct vcpu_start){ .kind = r->start.kind ? VCPU_RESET_SIPI :
						VCPU_RESET_LONG,
					.sipi_vector = r->start.sipi_vector };
	vlapic_cut(&r->lapic, v->index);
	if (!xcr0_valid(r->xcr0) || r->dr6 >> 32 || r->tsc_aux >> 32 ||
	    (r->tsc_aux && !cpu_has_tsc_aux) ||
	    !hvm->vcpu_record(v, page.backend, true)) {
		return false;
	}
	__builtin_memcpy(v, r, offsetof(struct vcpu, backend));
	v->kept = 0;
	v->attention = (r->attention & KEPT) | VCPU_ATT_INTR;
	v->state = page.waits ? VCPU_WAIT_SIPI : VCPU_PARKED;
	if (!v->index) {
		channel_record(t, page.channels, true);
	}
	return true;
}

/* The caller's own page at gpa, to write to; NULL: there is none. */
static void *own_page(struct partition *p, uint64_t gpa)
{
	struct gpm_entry e;

	return partition_has_ram(p, GPA(gpa), PAGE_SIZE) && !(gpa & PAGE_MASK) &&
	       gpm_lookup(p, GPA(gpa), &e) && e.present && e.write &&
	       frame_is_owner(partition_frames(p), e.pa) ? hpa_ptr(e.pa) : NULL;
}

/* A page of t's memory into to. Where there is nothing RSI is 0, for 2 MiB too. */
static hv_status_t read_memory(struct partition *t, void *to, struct guest_regs *r)
{
	uint64_t at = r->rdx;
	struct gpm_entry e;

	if (!partition_has_ram(t, GPA(at), PAGE_SIZE)) {
		return HC_EINVAL;
	}
	r->rdi = (at | (gpm_range_empty(t, GPA(at)) ? BIG_PAGE_MASK : PAGE_MASK)) + 1;
	r->rsi = gpm_lookup(t, GPA(at), &e) && e.present;
	if (r->rsi) {
		__builtin_memcpy(to, hpa_ptr(e.pa), PAGE_SIZE);
	}
	return HC_OK;
}

/**
 * HC_FORK_READ, or (write) HC_FORK_WRITE: r->rdx is a page of template t's memory
 * or record, r->r10 one of own's. HC_EINVAL: there are no such pages, or no guest
 * can be as that says: the record is half written then, and of no use. HC_EBUSY: t
 * is no template, or would be written and has children.
 */
hv_status_t record_call(struct partition *t, struct partition *own, bool write,
			struct guest_regs *r)
{
	uint64_t n = r->rdx & ~HC_FORK_RECORD;
	void *mine = own_page(own, r->r10), *fpu;

	if (t->state != HC_STATE_FROZEN || (write && t->children)) {
		return HC_EBUSY;
	}
	if (mine && !write && n == r->rdx) {
		return read_memory(t, mine, r);
	}
	if (!mine || n == r->rdx || n / 2 >= t->vcpu_count) {
		return HC_EINVAL;
	}
	fpu = t->vcpus[n / 2]->fpu;
	if (!write) {
		save(t, t->vcpus[n / 2]);
		__builtin_memcpy(mine, n & 1 ? fpu : &page, PAGE_SIZE);
		r->rdx = t->start_tsc;
		return HC_OK;
	}
	t->start_tsc = r->r8;
	if (n & 1) {
		__builtin_memcpy(fpu, mine, PAGE_SIZE);
		xsave_cut(fpu);
		return HC_OK;
	}
	__builtin_memcpy(&page, mine, PAGE_SIZE);
	return load(t, t->vcpus[n / 2]) ? HC_OK : HC_EINVAL;
}
