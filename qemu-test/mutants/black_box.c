/* SPDX-License-Identifier: MIT */
/*
 * A mutant for one boot test, linked only into mutant-black_box.elf: it fails in the
 * way that the manifest's mark says, at a stage or, when all runs, at an exit. The
 * mark is "fail-", a letter for how, where in two digits (a stage, or 0 and the number
 * of a CPU), and what fills it up. What is here stands in front of the functions it
 * is named after (--wrap).
 */
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

#include "hypervisor/iommu/iommu_int.h"

#define EXITS	300u	/* of that CPU's, before it fails */
#define NOWHERE	0x123400000000ull	/* in no page tables, the loader's neither */

void __real_stage(unsigned int code, const char *name);
void __wrap_stage(unsigned int code, const char *name);
void __real_exit_handle(struct vcpu *v, const struct vm_exit *e);
void __wrap_exit_handle(struct vcpu *v, const struct vm_exit *e);
void __real_box_nmi(uint64_t rip);
void __wrap_box_nmi(uint64_t rip);

static char how(void)
{
	const char *m = boot.mark + 1;

	return m[0] == 'f' && m[1] == 'a' && m[2] == 'i' && m[3] == 'l' &&
	       m[4] == '-' ? m[5] : 0;
}

static uint32_t where(void)
{
	return (uint32_t)(boot.mark[8] - '0') * 10 +
	       (uint32_t)(boot.mark[9] - '0');
}

/* The processor finds no handler, for that neither. */
static void NORETURN triple_fault(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} none = { 0, 0 };

	__asm__ volatile("lidt %0; int3" : : "m"(none));
	for (;;) {
	}
}

static void NORETURN hang(void)
{
	for (;;) {
		__asm__ volatile("");
	}
}

/* The stack is nowhere: the page fault has none either. */
static void no_stack(void)
{
	__asm__ volatile("movabs $0x123400000000, %rax;"
			 "mov %rax, %rsp; push %rax");
}

static hv_status_t refuse(hpa_t page)
{
	(void)page;
	return HC_EINVAL;
}

/* The next CPU does not enter virtualization. */
static void change_backend(void)
{
	static struct hvm_ops changed;

	__builtin_memcpy(&changed, hvm, sizeof(changed));
	changed.cpu_enable = refuse;
	hvm = &changed;
}

/* As many pieces of memory as there may be, far from each other; or none that the
 * pool has. */
static void change_memory(bool pieces)
{
	uint32_t i;

	for (i = 0; !pieces && i < boot.mem_count; i++) {
		boot.mem[i].type = BOOT_MEM_PARTITION;
	}
	for (i = 0; pieces && i < BOOT_MAX_MEM; i++) {
		boot.mem[i] = (struct boot_mem){ (i + 1ull) * BIT64(30) + PAGE_SIZE,
						 PAGE_SIZE, BOOT_MEM_FREE, 0 };
		boot.mem_count = i + 1;
	}
}

/* Page frames that are asked for, or given, against the rules. */
static void misuse_frames(char which)
{
	const hpa_t image = HPA(boot.image_phys);

	if (which == 'B') {
		frame_boot(FRAME_HYPERVISOR, BIT64(40), "what was injected");
	}
	lock_take(&frame_lock);
	if (which == 'O') {
		frame_free(FRAME_CHANNEL, image, PAGE_SIZE);
	} else {
		frame_move(FRAME_NONE, FRAME_HYPERVISOR, HPA(BIT64(45)), PAGE_SIZE);
	}
}

/* What is true of the machine, or of what the manifest wants, is changed, so that
 * it is the hypervisor that finds it. Each for one panic. */
static void change_facts(char which)
{
	struct boot_partition *host = &boot.partitions[0];

	switch (which) {
	case 'A':
		cpus[0]->apic_id = 300;
		break;
	case 'C':
		boot.apic_id[1] = 99;
		break;
	case 'F':
	case 'T':
		change_memory(which == 'T');
		break;
	case 'G':
		host->irqs[0].gsi = 200;
		break;
	case 'I':
		iommu_units[0].failed = true;
		break;
	case 'M':
		host->regions[1].gpa = host->regions[0].gpa;
		break;
	case 'N':	/* once the host partition has ended */
		host->regions[0].gpa = BIT64(46);
		break;
	case 'P':
		partitions[1]->native_ports[0] = 0;
		break;
	case 'S':
		partition_host()->state = HC_STATE_STOPPING;
		break;
	case 'V':
		change_backend();
		break;
	case 'X':
		boot.apic_id[0] = 300;
		break;
	case 'B':
	case 'E':
	case 'O':
		misuse_frames(which);
		break;
	}
}

static void fail(void)
{
	switch (how()) {
	case 'p':
		panic("injected");
	case 'u':
		__asm__ volatile("ud2");
		break;
	case 'f':
		*(volatile uint64_t *)NOWHERE = 0;
		break;
	case 'd':
		no_stack();
		break;
	case 't':
		triple_fault();
	case 'h':
	case 'n':	/* and takes no NMI */
		hang();
	case 'c':
		cpu_cli();
		hang();
	case 'l':	/* and on the way another CPU's, which waits */
		lock_take(&frame_lock);
		lock_take(&frame_lock);
		break;
	default:
		change_facts(how());
	}
}

/* An NMI that hangs holds the others off. */
void __wrap_box_nmi(uint64_t rip)
{
	if (how() == 'n' && this_cpu()->index == where()) {
		hang();
	}
	__real_box_nmi(rip);
}

void __wrap_stage(unsigned int code, const char *name)
{
	__real_stage(code, name);
	if (where() == code) {
		fail();
	}
}

/* The host partition's program goes on at an address that is not mapped, or
 * without its tables. */
static void break_host(struct vcpu *v)
{
	switch (how()) {
	case 'b':
	case 'e':
	case 'I':
	case 'N':
		hvm->vcpu_set(v, VCPU_RIP, 0x10);
		break;
	case 'r':
		hvm->vcpu_set(v, VCPU_CR3, 0xb0000000);
		break;
	}
}

/* 'e': again and again. */
void __wrap_exit_handle(struct vcpu *v, const struct vm_exit *e)
{
	static uint32_t count;

	__real_exit_handle(v, e);
	if (!how() || this_cpu()->index != where()) {
		return;
	}
	count++;
	if (count == EXITS || (how() == 'e' && count % EXITS == 0)) {
		fail();
		if (partition_is_host(v->partition)) {
			break_host(v);
		}
	}
}
