/* SPDX-License-Identifier: MIT */
/*
 * The services inside the hypervisor that everything uses: log, panic, lock,
 * page frames, second-level maps, scheduler, channels, interrupt routing.
 */
#ifndef ISTHMUS_HV_H
#define ISTHMUS_HV_H

#include <abi/black_box.h>
#include <abi/boot_info.h>
#include <abi/channel.h>
#include <hvm_ops.h>
#include <types.h>

struct guest_regs;
struct vcpu;
struct partition;
struct percpu;

/* All memory the hypervisor may touch, one to one from here (not its own
 * image, which is only at HV_IMAGE_BASE). */
#ifndef DMAP_BASE		/* tests have theirs */
#define DMAP_BASE	0xffff888000000000ull
#endif

static inline void *hpa_ptr(hpa_t a)
{
	return (void *)(uintptr_t)(DMAP_BASE + a.v);
}

static inline hpa_t ptr_hpa(const void *p)
{
	return HPA((uint64_t)(uintptr_t)p - DMAP_BASE);
}

extern struct boot_info boot;	/* private copy */

/* lock.c: spin locks. There is one for each partition, frame_lock, and the log's;
 * partition.h says what each guards. Who takes two takes them in that order, and
 * of two partitions' first that of the lower id. None is held at an entry, all
 * with interrupts off, so a holder is never preempted. Who comes takes a ticket,
 * and waits until it is served; the two are apart, so that who waits reads a line
 * that only the holder writes. */
struct lock {
	uint32_t next, pad[15], serving;
} __attribute__((aligned(64)));

void lock_take(struct lock *l);
bool lock_try(struct lock *l);
void lock_drop(struct lock *l);

/* This CPU may do what l guards: seen to by unit tests, which have their own. */
#ifndef LOCK_HELD
#define LOCK_HELD(l)	((void)(l))
#endif

/* log.c */
void log_init(uint64_t base);
void log_screen(volatile uint32_t *pixels);
void log_quiet(void);		/* the host partition owns the UART now */
void log_write(const char *fmt, ...) PRINTF(1, 2);
uint32_t log_read(uint64_t *cursor, char *out, uint32_t len);
void panic(const char *fmt, ...) PRINTF(1, 2) NORETURN;
void log_nmi(uint64_t rip);
void stage(unsigned int code, const char *name);
void stage_failed(unsigned int code, const char *name, const char *why, ...)
	PRINTF(3, 4) NORETURN;

/* frame.c: every 4 KiB page of memory has one owner. */
enum frame_owner {
	FRAME_NONE = 0,		/* not memory of ours */
	FRAME_FREE,
	FRAME_HYPERVISOR,
	FRAME_CHANNEL,
	FRAME_PARTITION0,	/* + partition id */
};

#define FRAME_NULL	(~0ull)

extern struct lock frame_lock;

void frame_init(const struct boot_info *bi);
hpa_t frame_take(uint8_t owner);
hpa_t frame_take_big(uint8_t owner, bool *zeroed);
hpa_t frame_alloc(uint8_t owner, bool zero);
hpa_t frame_alloc_run(uint8_t owner, uint64_t bytes);
hpa_t frame_boot(uint8_t owner, uint64_t bytes, const char *what);
void frame_free(uint8_t owner, hpa_t pa, uint64_t bytes);
void frame_move(uint8_t from, uint8_t to, hpa_t pa, uint64_t bytes);
uint64_t frame_owned(uint8_t owner);
bool frame_is_owner(uint8_t owner, hpa_t pa);
const uint8_t *frame_owners(uint64_t *pages);
bool frame_zero_one(void);	/* idle work; false: nothing to do */

/* gpm.c: second-level address map of a partition. Its lock held. */
#define GPM_BUDGET	64	/* pages given back in one hold of the lock */

struct gpm_entry {
	uint64_t raw;
	uint64_t size;		/* PAGE_SIZE or BIG_PAGE_SIZE */
	hpa_t pa;
	bool present, reserved, write, exec;
	bool split;		/* before it is executed */
	bool shared, empty;	/* its template's; not even that */
};

hv_status_t gpm_map(struct partition *p, gpa_t gpa, hpa_t pa, uint64_t size,
		    uint32_t flags) MUST_CHECK;
hv_status_t gpm_reserve_big(struct partition *p, gpa_t gpa, hpa_t pa)
	MUST_CHECK;
void gpm_fill(struct partition *p, gpa_t gpa, uint32_t pages, uint32_t flags);
bool gpm_lookup(struct partition *p, gpa_t gpa, struct gpm_entry *e);
hv_status_t gpm_split(struct partition *p, gpa_t gpa) MUST_CHECK;
void gpm_copied(struct partition *p, gpa_t gpa);
hv_status_t gpm_share(struct partition *p, gpa_t gpa) MUST_CHECK;
void gpm_give(struct partition *p, hpa_t pa, uint64_t bytes, int splits);
void gpm_clear(struct partition *p, gpa_t gpa);
bool gpm_revoke(struct partition *p, gpa_t gpa);
void gpm_restore(struct partition *p, gpa_t gpa);
hv_status_t gpm_reclaim(struct partition *p, gpa_t gpa, int *budget) MUST_CHECK;
void gpm_tidy(struct partition *p, gpa_t gpa);
bool gpm_range_empty(struct partition *p, gpa_t gpa);
uint64_t gpm_teardown(struct partition *p, uint64_t gpa, uint64_t end);

/* sched.c */
void sched_add(struct vcpu *v);
void sched_loop(void) NORETURN;
void sched_kick(struct vcpu *v);
void sched_event(struct vcpu *v);
void sched_interrupt(const struct vcpu *v);
void sched_timer(struct percpu *pc, uint64_t at);
void sched_last_turn(void) NORETURN;

/* channel.c */
void channel_create_all(const struct boot_info *bi);
hv_status_t channel_doorbell(struct partition *p, uint64_t local);
hv_status_t channel_set_state(struct partition *p, uint64_t local,
			      uint32_t value);
void channel_partition_down(struct partition *p);
bool channel_clear(struct partition *p, uint64_t *at);
bool channel_io(struct vcpu *v, const struct vm_exit *e);
void channel_poll(void);
void channel_map_all(struct partition *p);
bool channel_same(const struct partition *a, const struct partition *b);
void channel_fork(const struct partition *t, struct partition *p);
struct channel_record {		/* of one end */
	uint32_t generation, int_control, msix[CHANNEL_MSIX_VECTORS * 4];
};
void channel_record(const struct partition *p, struct channel_record *r,
		    bool load);
hv_status_t channel_query(struct partition *p, uint64_t local,
			  struct guest_regs *r);

/* box/: what of a run is left after a reset */
extern struct black_box *box;
void box_init(void);
void box_exit(struct percpu *pc, struct vcpu *v, const struct vm_exit *e);
uint64_t box_turn(struct percpu *pc, uint64_t now);
void box_alive(void);
void box_nmi(uint64_t rip);
void box_end(void) NORETURN;

/* check/: whether partitions are apart, read off the live tables */
void check_init(void);
void check_boot(void);
void check_cpu(void);
hv_status_t check_query(struct guest_regs *r);
hv_status_t check_query_map(uint64_t index, struct guest_regs *r);

/* x86: descriptor tables, CPUs, interrupts, policies */
extern uint64_t paging_cr3;
void paging_init(const struct boot_info *bi);
void *paging_map_device(uint64_t pa, bool through);
void *paging_window(uint64_t pa);
void paging_trampoline(uint64_t pa, bool on);
void desc_load(struct percpu *pc);

struct idt_gate {
	uint16_t offset0, selector;
	uint8_t ist, type;
	uint16_t offset1;
	uint32_t offset2, reserved;
};
/* One for all CPUs; constant once the boot CPU has made it. */
extern struct idt_gate idt[256];

void cpu_start_all(const struct boot_info *bi);
void cpu_stop_others(void);
void start_overdue(uint64_t rip);
void start_host(void);
void lapic_init(const struct boot_info *bi);
void lapic_eoi(void);
void lapic_ipi(uint32_t apic_id, uint8_t vector);
void lapic_init_sipi(uint32_t apic_id, uint8_t page);
void lapic_nmi(uint32_t apic_id);
void lapic_timer_start(uint64_t tsc_deadline);
void lapic_timer_stop(void);
void tsc_align(uint32_t cpu);
void irq_mask_all(const struct boot_info *bi);
void irq_init(void);
void irq_handle(uint32_t vector);
hv_status_t irq_control(uint64_t line, uint64_t unmask);
void cpuid_policy_init(void);
void cpuid_emulate(struct vcpu *v);
bool msr_read(struct vcpu *v, uint32_t msr, uint64_t *value);
bool msr_write(struct vcpu *v, uint32_t msr, uint64_t value);
bool cr_access(struct vcpu *v, const struct vm_exit *e);
bool xsetbv_emulate(struct vcpu *v);
bool xcr0_valid(uint64_t value);
void xsave_cut(void *area);
bool cr_valid(uint64_t cr0, uint64_t cr4, uint64_t efer, uint64_t pat);
bool syscall_valid(const uint64_t *msr);
extern uint64_t xstate_mask;
extern bool cpu_has_tsc_aux, cpu_keeps_x87_pointers;
void kvmclock_update(struct vcpu *v, bool paused);
hv_status_t kvmclock_set_wall(uint64_t ns);
bool kvmclock_msr_write(struct vcpu *v, uint32_t msr, uint64_t value);
#define FETCH_MAX	15u		/* bytes of the longest instruction */
void guest_fetch_forget(struct vcpu *v);
uint32_t guest_fetch(struct vcpu *v, uint64_t at, uint64_t cr3, uint8_t *bytes,
		     uint32_t max);
bool mmio_is_lapic(const struct vcpu *v, gpa_t gpa);
bool mmio_lapic(struct vcpu *v, const struct vm_exit *e);
uint8_t *msr_map(void);

#define VECTOR_IRQ_BASE		0x40u	/* device lines */
#define VECTOR_MSI_BASE		0x60u	/* lines from HC_LINE_MSI on */
#define VECTOR_TIMER		0xf0u
#define VECTOR_KICK		0xf1u
#define VECTOR_CHECK	0xf2u
#define VECTOR_SPURIOUS		0xffu

#endif
