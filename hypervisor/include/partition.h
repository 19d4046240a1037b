/* SPDX-License-Identifier: MIT */
/*
 * Partitions and their vCPUs.
 *
 * Locking: a partition's lock guards its state, its second-level tables, its
 * own words of its channels, and how its vCPUs are reset; frame_lock the pool, and
 * what of it partitions have and are promised. What only the host partition's
 * calls change is CPU 0's, where its one vCPU is, and needs no lock: devices,
 * IOMMUs, port accesses that wait for it, and a partition none of whose vCPUs
 * runs, or can be made to but from there. A vCPU's own fields belong to the CPU
 * that it is pinned to. (any): atomics that any CPU may change.
 */
#ifndef ISTHMUS_PARTITION_H
#define ISTHMUS_PARTITION_H

#include <abi/boot_info.h>
#include <abi/hypercall.h>
#include <hvm_ops.h>
#include <hv.h>
#include <types.h>
#include <vlapic.h>

#define PARTITION_MAX_VCPUS	8u

struct channel;

/* In the order of the register numbers in instruction encodings. entry.S
 * knows the offsets. The RSP slot is not used. */
struct guest_regs {
	uint64_t rax, rcx, rdx, rbx, rsp_unused, rbp, rsi, rdi;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
};

/** The results of a hypercall that has not failed. */
static inline hv_status_t guest_give(struct guest_regs *r, uint64_t rdi,
				     uint64_t rsi, uint64_t rdx, uint64_t r10,
				     uint64_t r8)
{
	r->rdi = rdi;
	r->rsi = rsi;
	r->rdx = rdx;
	r->r10 = r10;
	r->r8 = r8;
	return HC_OK;
}

enum vcpu_state {
	VCPU_STOPPED = 0,
	VCPU_WAIT_SIPI,		/* after INIT */
	VCPU_HALTED,		/* HLT: an interrupt wakes it */
	VCPU_WAITING,		/* HC_WAIT: an event or the deadline */
	VCPU_IOREQ,		/* the host partition works on its access */
	VCPU_RUNNABLE,
	VCPU_PARKED,		/* of a template, or of what becomes one */
};

/* Bits of vcpu.attention (any): work before the next entry. */
#define VCPU_ATT_INTR		BIT32(0)	/* look at the virtual LAPIC */
#define VCPU_ATT_RESET		BIT32(1)	/* start or SIPI */
#define VCPU_ATT_INIT		BIT32(2)
#define VCPU_ATT_NMI		BIT32(3)
#define VCPU_ATT_WAIT		BIT32(4)	/* HC_WAIT result is due */
#define VCPU_ATT_IOREQ		BIT32(5)	/* an ioreq has been answered */
#define VCPU_ATT_OTHERS		BIT32(6)	/* release_wait() */
#define VCPU_ATT_PARK		BIT32(7)	/* fork_park() */
#define VCPU_ATT_FORK		BIT32(8)	/* fork_vcpu() */
#define VCPU_ATT_LATE		BIT32(9)	/* the machine stood still */

struct ioreq {
	uint64_t word;		/* HC_IOREQ_* */
	uint64_t value;		/* written by the guest, or read for it */
	uint64_t rip;
	uint64_t taken;		/* the life of the host partition that has
				 * fetched it: its start_count; or 0 */
	uint32_t insn_len;
};

/* Up to backend is what a child has of its template's vCPU, and a record: what a
 * guest can be, whatever the values. */
struct vcpu {
	struct guest_regs regs;		/* first: entry.S */
	/* the guest's, while another vCPU, or nobody, is loaded:
	 * vcpu_switch() */
	uint64_t xcr0;
	uint64_t dr[4], dr6, cr2;
	uint64_t tsc_aux;
	bool dr_armed;			/* it uses them again at the next
					 * load_state() */
	bool halted;			/* between HLT and its wake-up */
	bool halt_if;			/* RFLAGS.IF at HLT */
	uint64_t tsc_offset;		/* a child's before it runs, from here on */
	uint64_t parked_deadline;	/* the LAPIC timer's, while parked */
	uint64_t kvmclock_msr;
	uint32_t kvmclock_version;
	struct vcpu_start start;
	struct vlapic lapic;
	void *backend;
	struct partition *partition;
	struct percpu *cpu;		/* pinned to */
	uint32_t index;
	uint32_t name;			/* its part of box_exit.what */
	uint32_t state;			/* enum vcpu_state (any) */
	uint32_t attention;		/* VCPU_ATT_* (any) */
	uint32_t kept;			/* VCPU_ATT_*: seen, and not possible
					 * until after the next exit */
	uint32_t running;		/* inside the run loop (any reads) */
	uint64_t gpm_epoch;		/* of the last flush (any reads) */
	bool waits;			/* in release_wait() (any reads) */
	gpa_t copied;			/* .. to write here */
	uint64_t wait_deadline;		/* HC_WAIT, host TSC; ~0: none */
	struct ioreq ioreq;
	uint32_t fault_streak;		/* reflected #DB/#AC in this turn */

	/* guest_fetch()'s last translation */
	uint64_t fetch_va, fetch_cr3, fetch_epoch;
	const uint8_t *fetch_page;

	uint64_t slice_left;		/* TSC ticks */
	struct vcpu *payer;		/* not NULL: on whose time: sched_event() */
	bool told;			/* HC_WAIT has given it what has come */
	uint64_t ticks_run;	/* TSC ticks on its CPU, exits included */
	void *fpu;			/* XSAVE area, one page */
	bool dr_loaded;			/* v uses its debug registers: the
					 * CPU's are its own */
	uint64_t exits[VM_EXIT_COUNT];	/* since boot */
};

struct partition {
	struct lock lock;
	uint32_t id;
	uint32_t flags;			/* BOOT_PARTITION_* */
	uint32_t state;			/* enum hc_state (any reads) */
	uint32_t reason;		/* enum hc_reason */
	uint64_t crash_rip, crash_detail;	/* valid with reason */
	uint64_t start_count;
	uint64_t start_tsc;		/* host TSC: the guest's 0 */
	uint64_t begin_tsc;		/* .. when this life began */
	struct partition *template;	/* of a child */
	uint32_t children;		/* of a template */
	const struct boot_partition *config;
	const uint8_t *copies[BOOT_MAX_REGIONS];	/* of regions that
				 * restart_host() loads anew; or NULL */

	hpa_t gpm_root;
	uint64_t gpm_epoch;		/* grows when a mapping is taken away
					 * (any reads) */
	uint64_t release_epoch;		/* .. by HC_MEM_RELEASE, which goes on
					 * with these blocks */
	uint64_t release[HC_RELEASE_BLOCKS];
	uint64_t pages_tables;		/* of its pages; the cap leaves them
					 * out */
	uint64_t pages_cap;
	uint64_t pages_min;		/* kept free for it .. */
	uint64_t pages_splits;		/* .. and tables that executing may
					 * need, one for each large page to be
					 * split; what is under way to it */
	uint64_t pages_populated;
	uint64_t teardown_gpa;		/* HC_PARTITION_STOP goes on here .. */
	uint64_t teardown_channels;	/* .. then here: channel_clear() */

	uint64_t events;		/* HC_EVENT_* (any) */
	uint8_t *native_ports, *native_msrs;	/* bit set = exits */
	uint32_t vcpu_count;
	uint32_t ioreq_turn;		/* hypercall.c */
	struct vcpu *vcpus[PARTITION_MAX_VCPUS];
	uint32_t channel_count;
	struct channel *channels[BOOT_MAX_CHANNELS];	/* as it numbers them */
};

extern struct partition *partitions[BOOT_MAX_PARTITIONS];
extern uint32_t partition_count;

static inline bool partition_is_host(const struct partition *p)
{
	return (p->flags & BOOT_PARTITION_HOST) != 0;
}

/* Owner number of its pages. */
static inline uint8_t partition_frames(const struct partition *p)
{
	return (uint8_t)(FRAME_PARTITION0 + p->id);
}

void partition_create_all(const struct boot_info *bi);
struct partition *partition_get(uint64_t id);
struct partition *partition_host(void);
void partition_event(struct partition *p, uint64_t bits);
void partition_kill(struct vcpu *v, enum hc_reason reason, uint64_t detail);
void partition_begin(struct partition *p, uint64_t tsc);
hv_status_t partition_start(struct partition *p, const struct vcpu_start *s);
hv_status_t partition_stop(struct partition *p);
bool partition_populate(struct vcpu *v, gpa_t gpa, bool write,
			enum hc_reason *why);
void *partition_memory(struct vcpu *v, gpa_t gpa, uint64_t len, bool write);
void partition_map(struct partition *p, const struct boot_region *r,
		   uint32_t boot_flags);
bool partition_has_ram(const struct partition *p, gpa_t gpa, uint64_t size);

/* donate.c */
hv_status_t donate_memory(struct partition *from, gpa_t src,
			  struct partition *to, gpa_t dst, uint64_t pages);

/* restart.c */
void restart_host(struct vcpu *v);

/* release.c */
hv_status_t release_memory(struct vcpu *me,
			   const uint64_t block[HC_RELEASE_BLOCKS]);

void release_wait(struct vcpu *me);

/* fork.c */
hv_status_t fork_call(uint64_t what, uint64_t which, uint64_t with);
void fork_park(struct vcpu *v, uint32_t att);
void fork_vcpu(struct vcpu *v);

/* record.c */
hv_status_t record_call(struct partition *t, struct partition *own, bool write,
			struct guest_regs *r);

/* promise.c */
uint64_t promise_owned(const struct partition *p);
uint64_t promise_spare(const struct partition *p);
bool promise_allows(const struct partition *p, uint64_t n);
uint64_t promise_sure(const struct partition *p);

/* vcpu.c */
void vcpu_wake(struct vcpu *v, enum vcpu_state from, uint32_t attention);
void vcpu_attention(struct vcpu *v, uint32_t bits);
void vcpu_next(struct vcpu *v, uint32_t bits);
void vcpu_sipi(struct vcpu *v, uint8_t vector);
void vcpu_inject_exception(struct vcpu *v, uint8_t vector, bool has_error,
			   uint32_t error);
void vcpu_inject_gp(struct vcpu *v);
void vcpu_inject_ud(struct vcpu *v);
void vcpu_reset(struct vcpu *v, const struct vcpu_start *s);
bool vcpu_prepare(struct vcpu *v);
void vcpu_switch(struct vcpu *from, struct vcpu *to);
void vcpu_unload(struct vcpu *v);
void vcpu_load_dr(struct vcpu *v);
void vcpu_dump(struct vcpu *v);

/* exit.c */
void exit_handle(struct vcpu *v, const struct vm_exit *e);
extern const char *const vm_exit_names[VM_EXIT_COUNT];

/* hypercall.c */
void hypercall_handle(struct vcpu *v, const struct vm_exit *e);

#endif
