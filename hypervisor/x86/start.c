/* SPDX-License-Identifier: MIT */
/*
 * The story of start-up: from boot/'s hand-over to the scheduler, and the
 * other CPUs' way there.
 *
 * boot_info is trusted as to its content, but for its magic and size, which
 * tell whether both were built together. Until the scheduler runs there is no
 * guest and one CPU works at a time, so nothing is locked. What the machine
 * lacks ends in stage_failed(), what contradicts itself in a panic.
 */
#include <hv.h>
#include <iommu.h>
#include <mc.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

enum {	/* docs/stages.md */
	STAGE_ENTERED = 40, STAGE_MEMORY = 42, STAGE_CPUS = 44,
	STAGE_VIRT = 46, STAGE_PARTITIONS = 48, STAGE_HOST = 50,
};

/* No stage takes so long, on any machine that was seen: one that does has
 * stopped. */
#define STAGE_SECONDS	20u

extern const char trampoline_start[], trampoline_end[];
/* Words of the trampoline in entry.S: the original lies in .rodata, so they
 * are filled in at its copy, see trampoline_word(). */
extern uint64_t trampoline_base, trampoline_cr3;
extern uint64_t trampoline_stack, trampoline_percpu;

void hv_start(uint64_t info);
void cpu_ap_entry(struct percpu *pc) NORETURN;

struct boot_info boot;
struct percpu *cpus[BOOT_MAX_CPUS];
uint32_t cpu_count;
const struct hvm_ops *hvm;

/* The stage that was reached last, and the host TSC by which the next one must
 * be; 0: start-up is over, or has not begun. */
static struct {
	unsigned int code;
	const char *name;
	uint64_t until;
} last_stage;

/* The backends, in the order in which they are asked. */
static const struct hvm_ops *const backends[] = { &hvm_vmx, &hvm_svm };

/* Until sched_loop() interrupts are on, and the timer's is the only one that is
 * expected. */
static void watch(unsigned int code, const char *name)
{
	last_stage.code = code;
	last_stage.name = name;
	last_stage.until = rdtsc() + STAGE_SECONDS * boot.tsc_hz;
	lapic_timer_start(last_stage.until);
	box_alive();
}

static void reached(unsigned int code, const char *name)
{
	stage(code, name);
	watch(code, name);
}

/**
 * The timer has interrupted the hypervisor at rip, on whatever CPU. If that is
 * the start-up, and it has been in one stage for too long, this is its end: no
 * stop is silent. Else the timer came early, and is set again. Interrupts off.
 */
void start_overdue(uint64_t rip)
{
	if (!last_stage.until) {
		return;
	}
	if (rdtsc() >= last_stage.until) {
		stage_failed(last_stage.code, last_stage.name, "the next stage "
			     "has not been reached in %u s: CPU 0 hangs at "
			     "%#lx", STAGE_SECONDS, rip);
	}
	lapic_timer_start(last_stage.until);
}

/* The backend is chosen once; each says itself what it lacks. The last one's
 * reason is told. */
static void hvm_select(void)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(backends); i++) {
		if (!backends[i]->probe()) {
			hvm = backends[i];
			return;
		}
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(backends); i++) {
		log_write("no %s: %s", backends[i]->name, backends[i]->probe());
	}
	stage_failed(STAGE_VIRT, "virtualization",
		     "CPU 0: for the reasons above");
}

/* A CPU's own data, zeroed, all CPUs' in one piece; it stays for ever. */
static struct percpu *percpu_new(uint32_t index, uint32_t apic_id)
{
	static struct percpu *all;
	struct percpu *pc;

	if (!all) {
		all = hpa_ptr(frame_boot(FRAME_HYPERVISOR,
					 boot.cpu_count * sizeof(*all),
					 "the CPUs' own data"));
	}
	pc = &all[index];
	pc->index = index;
	pc->apic_id = apic_id;
	pc->timer_at = ~0ull;
	pc->backend_page = frame_boot(FRAME_HYPERVISOR, PAGE_SIZE,
				      "a CPU's virtualization state");
	pc->box = &box->cpu[index];
	cpus[index] = pc;
	return pc;
}

/* What every CPU does for itself, after its descriptor tables and its LAPIC: a
 * known state whatever firmware left, virtualization on. cpuid_policy_init()
 * and hvm_select() have been called on the boot CPU. */
static void cpu_init(struct percpu *pc)
{
	wrmsr(MSR_IA32_EFER, rdmsr(MSR_IA32_EFER) | EFER_NXE | EFER_SCE);
	write_cr0((read_cr0() & ~(CR0_CD | CR0_NW | CR0_TS | CR0_EM)) |
		  CR0_WP | CR0_NE | CR0_MP);
	/* also without what the firmware may have left on: CET, protection
	 * keys, process-context identifiers */
	write_cr4(CR4_PAE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT |
		  CR4_OSXSAVE);
	wrmsr(MSR_IA32_PAT, PAT_RESET);
	/* all that guests may use, so that XSAVE and XRSTOR reach it */
	xsetbv(0, xstate_mask);
	/* no breakpoint of the firmware's */
	write_dr7(DR7_RESET);
	/* a machine check without CR4.MCE resets the machine silently */
	mc_init();
	write_cr4(read_cr4() | (cpuid(1, 0).edx & BIT32(7) ? CR4_MCE : 0));
	tsc_align(pc->index);
	pc->boot_tsc = rdtsc();
	if (hvm->cpu_enable(pc->backend_page)) {
		panic("CPU %u (APIC id %u) does not enter %s operation",
		      pc->index, pc->apic_id, hvm->name);
	}
}

/**
 * C entry of the other CPUs, from the trampoline, on their own stacks and
 * paging_init()'s tables, interrupts off. Never returns.
 */
void cpu_ap_entry(struct percpu *pc)
{
	/* first: a fault from here on is a panic, not a reset */
	desc_load(pc);
	lapic_init(&boot);
	cpu_init(pc);
	__atomic_store_n(&pc->online, 1, __ATOMIC_RELEASE);
	/* partitions exist only after all CPUs are up */
	while (!__atomic_load_n(&cpus[0]->online, __ATOMIC_ACQUIRE)) {
		cpu_pause();
	}
	sched_loop();
}

/* A word of the trampoline's copy, by its place in the original. */
static void *trampoline_word(const void *word)
{
	return (uint8_t *)hpa_ptr(HPA(boot.trampoline)) +
	       ((const char *)word - trampoline_start);
}

/* One CPU after the other: they share the trampoline's words, and what they
 * allocate needs no lock. A CPU that does not answer ends the start-up: it
 * might wake up later, with another CPU's stack. */
static void start_one(uint32_t apic_id)
{
	struct percpu *pc = percpu_new(cpu_count, apic_id);
	uint64_t limit = rdtsc() + boot.tsc_hz;	/* one second */

	*(uint64_t *)trampoline_word(&trampoline_stack) =
		(uintptr_t)pc->stack + PERCPU_STACK_SIZE;
	*(uint64_t *)trampoline_word(&trampoline_percpu) = (uintptr_t)pc;
	lapic_init_sipi(apic_id, (uint8_t)(boot.trampoline >> 12));
	while (!__atomic_load_n(&pc->online, __ATOMIC_ACQUIRE)) {
		if (rdtsc() > limit) {
			stage_failed(STAGE_CPUS, "cpus", "the CPU with APIC "
				     "id %u does not answer INIT/SIPI",
				     apic_id);
		}
		cpu_pause();
	}
	cpu_count++;
}

/**
 * Starts every CPU that boot/ found, one after the other. Boot CPU, itself
 * initialized. They wait in cpu_ap_entry() until the partitions exist.
 */
void cpu_start_all(const struct boot_info *bi)
{
	__builtin_memcpy(hpa_ptr(HPA(bi->trampoline)), trampoline_start,
			 (size_t)(trampoline_end - trampoline_start));
	*(uint64_t *)trampoline_word(&trampoline_base) = bi->trampoline;
	*(uint64_t *)trampoline_word(&trampoline_cr3) = paging_cr3;
	paging_trampoline(bi->trampoline, true);
	for (uint32_t i = 0; i < bi->cpu_count; i++) {
		if (i != bi->bsp) {
			start_one(bi->apic_id[i]);
		}
	}
	paging_trampoline(bi->trampoline, false);
}

/**
 * For panic: an NMI makes the others see it and stop, also those in a guest,
 * where it is an exit. Nobody waits for them.
 */
void cpu_stop_others(void)
{
	for (uint32_t i = 0; i < cpu_count; i++) {
		if (cpus[i] != this_cpu()) {
			lapic_nmi(cpus[i]->apic_id);
		}
	}
}

/** vCPU 0 of the host partition, in the state that boot/ has prepared. */
void start_host(void)
{
	struct partition *host = partition_host();
	const struct boot_partition *c = host->config;
	const struct vcpu_start s = {
		.kind = VCPU_RESET_LONG, .rip = c->start_rip,
		.cr3 = c->start_cr3, .rsi = c->start_rsi, .gdt = c->start_gdt,
		/* It never gets an interrupt injected; IF=1 lets external
		 * interrupts end its run on processors and emulators alike. */
		.interrupts = true,
	};

	if (partition_start(host, &s)) {
		panic("the host partition does not start");
	}
}

/* boot/'s structure lies at its physical address, mapped by boot/'s tables
 * only: copied before paging_init(). The copy is what everybody uses. */
static void copy_info(const struct boot_info *bi)
{
	if (bi->magic == BOOT_INFO_MAGIC) {
		box = (struct black_box *)(uintptr_t)bi->box;
		if (bi->version == BOOT_INFO_VERSION &&
		    bi->size == sizeof(*bi)) {
			boot = *bi;
			return;
		}
	}
	stage_failed(STAGE_ENTERED, "hypervisor entered", "the loader is of "
		     "another version than the hypervisor: make the boot disk "
		     "again, with both of one build");
}

/**
 * The hypervisor's main: boot CPU, on the boot stack, interrupts off, boot/'s
 * tables. info: physical address of struct boot_info. Never returns. The order
 * is: faults, the log, own address space, the deadline, pages, CPUs, what the
 * manifest wants.
 */
void hv_start(uint64_t info)
{
	static struct percpu boot_cpu;	/* until frames can be had */
	struct percpu *pc;

	/* from here on a fault is a panic, not a reset; nobody minds if nothing is at
	 * the log's first port */
	desc_load(&boot_cpu);
	copy_info((const struct boot_info *)(uintptr_t)info);
	/* boot/'s tables have both one to one */
	log_init(boot.uart.base);
	log_screen((volatile uint32_t *)(uintptr_t)boot.screen.base);
	stage(STAGE_ENTERED, "hypervisor entered");
	paging_init(&boot);
	if (boot.uart.kind != BOOT_UART_PORTS) {
		log_init((uint64_t)(uintptr_t)paging_map_device(boot.uart.base, false) +
			 (boot.uart.base & PAGE_MASK));
	}
	box_init();
	log_screen(hpa_ptr(HPA(boot.screen.base)));
	lapic_init(&boot);
	irq_mask_all(&boot);
	watch(STAGE_ENTERED, "hypervisor entered");
	cpu_sti();
	frame_init(&boot);
	reached(STAGE_MEMORY, "page owners set up");
	if (!(cpuid(1, 0).ecx & BIT32(26))) {
		stage_failed(STAGE_VIRT, "virtualization", "CPU 0 has no "
			     "XSAVE: the FPU state cannot be switched");
	}
	cpuid_policy_init();
	hvm_select();
	cpu_count = 1;
	pc = percpu_new(0, boot.apic_id[boot.bsp]);
	/* this_cpu() is nobody's while GS is loaded */
	cpu_cli();
	desc_load(pc);
	cpu_sti();
	cpu_init(pc);
	reached(STAGE_VIRT, hvm->name);
	check_init();
	iommu_init(&boot);
	cpu_start_all(&boot);
	log_write("isthmus: %u CPU%s, TSC %lu kHz", cpu_count,
		  cpu_count == 1 ? "" : "s", boot.tsc_hz / 1000);
	reached(STAGE_CPUS, "all CPUs started");
	partition_create_all(&boot);
	channel_create_all(&boot);
	irq_init();
	reached(STAGE_PARTITIONS, "partitions built");
	start_host();
	check_boot();
	reached(STAGE_HOST, "entering the host partition");
	cpu_cli();
	last_stage.until = 0;
	lapic_timer_stop();
	/* before the host partition can write to its UART and its screen */
	log_quiet();
	__atomic_store_n(&cpus[0]->online, 1, __ATOMIC_RELEASE);
	sched_loop();
}
