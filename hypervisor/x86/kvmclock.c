/* SPDX-License-Identifier: MIT */
/*
 * kvmclock: the paravirtual clock that stock Linux kernels know. The TSC is
 * invariant and the same on all CPUs, so each page is written when the guest
 * asks for it and when its TSC offset changes, never in between.
 *
 * The guest says where its page lies; partition_memory() makes sure that this
 * is RAM of its own. What it does to the page itself harms only its own clock.
 * The pages are written on the vCPU's CPU without a lock: they stay the
 * partition's until that vCPU's next entry. [Linux
 * Documentation/virt/kvm/x86/msr.rst]
 */
#include <hv.h>
#include <partition.h>
#include <x86.h>

#define MSR_KVM_WALL_CLOCK_NEW	0x4b564d00u
#define MSR_KVM_SYSTEM_TIME_NEW	0x4b564d01u
#define PVCLOCK_TSC_STABLE	1u
#define PVCLOCK_GUEST_STOPPED	2u	/* its watchdogs need not bark */
#define NSEC_PER_SEC		1000000000ull
#define NSEC_STEP		100000ull

/* Layouts of the guest ABI. */
struct pvclock_vcpu_time_info {
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;	/* guest TSC; ns at that TSC */
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad[2];
};
_Static_assert(sizeof(struct pvclock_vcpu_time_info) == 32, "pvclock");

struct pvclock_wall_clock {
	uint32_t version, sec, nsec;
};

/* The host partition's word, and 1970 before it: UTC in ns at the host TSC 0. It
 * wraps: that may have been earlier. */
static uint64_t wall_zero;

/* ns = ((ticks << shift) * mul) >> 32, with mul in its upper half range. */
static void time_scale(uint64_t hz, uint32_t *mul, int8_t *shift)
{
	*shift = 0;
	for (; hz > 2 * NSEC_PER_SEC; hz >>= 1) {
		--*shift;
	}
	for (; hz <= NSEC_PER_SEC; hz <<= 1) {
		++*shift;
	}
	*mul = (uint32_t)((NSEC_PER_SEC << 32) / hz);
}

/**
 * Writes v's time page, if it has one: time since the partition's start, in ns
 * of v's TSC; paused: v has not run for a while. A page that is not its RAM, or
 * that crosses 4 KiB, is left out. On v's CPU, no lock held.
 */
void kvmclock_update(struct vcpu *v, bool paused)
{
	struct pvclock_vcpu_time_info *t = !(v->kvmclock_msr & 1) ? NULL :
		partition_memory(v, GPA(v->kvmclock_msr & ~1ull), sizeof(*t), true);

	if (!t) {
		return;
	}
	/* odd: being changed */
	__atomic_store_n(&t->version, ++v->kvmclock_version, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* v's TSC at the partition's start, where its time is 0 */
	t->tsc_timestamp = v->tsc_offset + v->partition->start_tsc;
	t->system_time = 0;
	time_scale(boot.tsc_hz, &t->tsc_to_system_mul, &t->tsc_shift);
	t->flags = PVCLOCK_TSC_STABLE | (paused ? PVCLOCK_GUEST_STOPPED : 0);
	__atomic_store_n(&t->version, ++v->kvmclock_version, __ATOMIC_RELEASE);
}

/* tsc may be before 0: of a partition that began on an earlier machine. */
static uint64_t tsc_to_ns(uint64_t tsc)
{
	bool before = tsc >> 63;
	uint64_t ns = u64_muldiv(before ? -tsc : tsc, NSEC_PER_SEC, boot.tsc_hz);

	return before ? -ns : ns;
}

/**
 * HC_CLOCK: UTC was ns when the host TSC was 0. HC_EINVAL: it is more now than
 * wall clock pages can tell. On CPU 0; others find the old time, or the new one.
 */
hv_status_t kvmclock_set_wall(uint64_t ns)
{
	if ((ns + tsc_to_ns(rdtsc())) / NSEC_PER_SEC > UINT32_MAX) {
		return HC_EINVAL;
	}
	wall_zero = ns;
	return HC_OK;
}

/* UTC at the moment when the time page says 0, the partition's start: what the
 * host partition reckons, and a tenth of a millisecond or two more, so that its files
 * are not newer than Linux's clock; what is below is noise, which no two runs share. */
static void wall_clock(struct vcpu *v, uint64_t gpa)
{
	struct pvclock_wall_clock *w;
	uint64_t nsec = ((wall_zero + tsc_to_ns(v->partition->start_tsc)) /
			 NSEC_STEP + 2) * NSEC_STEP;

	w = partition_memory(v, GPA(gpa), sizeof(*w), true);
	if (!w) {
		return;
	}
	w->sec = (uint32_t)(nsec / NSEC_PER_SEC);
	w->nsec = (uint32_t)(nsec % NSEC_PER_SEC);
	__atomic_store_n(&w->version, 2, __ATOMIC_RELEASE);
}

/**
 * WRMSR of a kvmclock MSR. false: it is none, or misaligned: #GP. The MSRs
 * cannot be read. On v's CPU, no lock held.
 */
bool kvmclock_msr_write(struct vcpu *v, uint32_t msr, uint64_t value)
{
	if (msr == MSR_KVM_WALL_CLOCK_NEW && !(value & 3)) {
		wall_clock(v, value);
		return true;
	}
	if (msr == MSR_KVM_SYSTEM_TIME_NEW && !(value & 2)) {
		v->kvmclock_msr = value;
		/* the next one is odd, whatever was interrupted */
		v->kvmclock_version &= ~1u;
		kvmclock_update(v, false);
		return true;
	}
	return false;
}
