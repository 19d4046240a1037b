/* SPDX-License-Identifier: MIT */
/*
 * The hostile tests' oracle, linked only into hypervisor-hostile.elf (--wrap, as
 * qemu-test/trace): what an enemy does to time, locks, the log and the hypervisor's
 * own memory, and what the canary partition says of itself. One line of the log for
 * each row of the table, when the next one begins: docs/hostile.md explains it.
 *
 * It judges nothing: the limits are qemu-test/boot/hostile.py's.
 */
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

#include "qemu-test/hostile/ports.h"

#define IDT_WORDS		512u	/* 256 gates of 16 bytes */
#define DRIFT_PER_SECOND	20u	/* 50 ms: from its look to the beat's exit */

void __real_exit_handle(struct vcpu *v, const struct vm_exit *e);
void __wrap_exit_handle(struct vcpu *v, const struct vm_exit *e);
bool __real_vcpu_prepare(struct vcpu *v);
bool __wrap_vcpu_prepare(struct vcpu *v);
void __real_partition_kill(struct vcpu *v, enum hc_reason reason,
			   uint64_t detail);
void __wrap_partition_kill(struct vcpu *v, enum hc_reason reason,
			   uint64_t detail);
void __real_partition_create_all(const struct boot_info *bi);
void __wrap_partition_create_all(const struct boot_info *bi);
void __real_lock_take(struct lock *l);
void __wrap_lock_take(struct lock *l);
bool __real_lock_try(struct lock *l);
bool __wrap_lock_try(struct lock *l);
void __real_lock_drop(struct lock *l);
void __wrap_lock_drop(struct lock *l);
hpa_t __real_frame_take(uint8_t who);
hpa_t __wrap_frame_take(uint8_t who);

extern const uint64_t image_start[], rodata_end[];

/* What is known of the row that runs. The words of a canary that sleeps are as old as
 * they are: a row shorter than its pieces may have none. */
struct row {
	uint32_t name;
	uint64_t began, log_at;
	uint64_t gap;			/* longest without a beat, ticks */
	uint64_t longest, host_longest;	/* exits, ticks */
	const char *where, *host_where;	/* of which kind */
	uint32_t beats, drift, memory, memory_bad, registers, registers_bad;
	uint32_t stray, kills, locks;
};

static struct row row;
static bool armed;			/* partitions are about to be made */
static uint32_t busy;			/* guards row and what follows */
static uint64_t last_beat, image;
static uint32_t clock_offset;
static uint32_t all_beats;
static int32_t held[BOOT_MAX_CPUS];	/* locks, by CPU */
static bool killed[BOOT_MAX_CPUS];	/* within the exit that is handled */
static uint32_t pages_left;		/* to be had, and one more; 0: all */

static void own(void)
{
	while (__atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE)) {
		cpu_pause();
	}
}

static void disown(void)
{
	__atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

static uint64_t mix(uint64_t sum, const uint64_t *at, const uint64_t *end)
{
	for (; at < end; at++) {
		sum = (sum ^ *at) * 0x100000001b3ull;
	}
	return sum;
}

/* A number of what must never change: code and constants, this CPU's IDT and GDT. Their
 * sizes are not asked of the processor: a VM exit sets the limits to 64 KiB, and what
 * lies behind the tables changes. */
static uint64_t image_sum(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} idtr, gdtr;
	const uint64_t *idt_at, *gdt_at;

	__asm__ volatile("sidt %0; sgdt %1" : "=m"(idtr), "=m"(gdtr));
	idt_at = (const uint64_t *)idtr.base;
	gdt_at = (const uint64_t *)gdtr.base;
	return mix(mix(mix(~0ull, image_start, rodata_end), idt_at,
		       idt_at + IDT_WORDS), gdt_at,
		   gdt_at + sizeof(this_cpu()->gdt) / 8);
}

/* Lines that the log has had since the row began, as far as it has them still. */
static uint32_t log_lines(void)
{
	uint64_t end = box->log.head, at = row.log_at;
	uint32_t lines = 0;

	if (end - at > BOX_TEXT) {
		at = end - BOX_TEXT;
	}
	for (; at < end; at++) {
		lines += box->log.text[at % BOX_TEXT] == '\n';
	}
	return lines;
}

static uint32_t in_us(uint64_t ticks)
{
	return (uint32_t)u64_muldiv(ticks, 1000000, boot.tsc_hz);
}

/* All of the row's line. The canary's gap counts until now: one that has stopped is
 * seen by that. */
static void tell(uint64_t now)
{
	char name[5] = { 0 };
	uint64_t gap = all_beats ? u64_max(row.gap, now - last_beat) : 0;
	uint64_t sum = image_sum();

	__builtin_memcpy(name, &row.name, 4);
	log_write("ORACLE %s us=%u beats=%u gap=%u drift=%u memory=%u/%x "
		  "registers=%u/%x stray=%x exit=%u %s host-exit=%u %s "
		  "kills=%u lines=%u locks=%u image=%s", name,
		  in_us(now - row.began), row.beats, in_us(gap), row.drift,
		  row.memory, row.memory_bad, row.registers,
		  row.registers_bad, row.stray, (uint32_t)row.longest,
		  row.where, (uint32_t)row.host_longest, row.host_where,
		  row.kills, log_lines(), row.locks,
		  sum == image ? "same" : "CHANGED");
}

static void begin(uint32_t name)
{
	uint64_t now = rdtsc();

	if (row.name && row.name != HOSTILE_END) {
		tell(now);
	} else {
		image = image_sum();
	}
	row = (struct row){ .name = name, .where = "-", .host_where = "-",
			    .log_at = box->log.head };
	/* what this has cost is nobody's */
	row.began = rdtsc();
	last_beat += row.began - now;
}

/* The canary has read its TSC, and then come here: its clock and ours go on by the
 * same, but for what has been between the two. */
static void beat(uint32_t tsc)
{
	uint64_t now = rdtsc();
	uint32_t most = (uint32_t)boot.tsc_hz / DRIFT_PER_SECOND;
	uint32_t offset = (uint32_t)now - tsc;

	if (!all_beats++) {
		clock_offset = offset;
	} else {
		row.gap = u64_max(row.gap, now - last_beat);
		row.drift += offset - clock_offset + most > 2 * most;
	}
	last_beat = now;
	row.beats++;
}

/* A word to the oracle by who may say it. */
static void hear(struct vcpu *v, const struct vm_exit *e)
{
	uint32_t id = v->partition->id, value = (uint32_t)v->regs.rax;

	if (id != HOSTILE_CANARY && e->io.port == HOSTILE_ROW) {
		begin(value);
	}
	if (partition_is_host(v->partition) &&
	    e->io.port == HOSTILE_NO_PAGE) {
		pages_left = value;
	}
	if (id != HOSTILE_CANARY) {
		return;
	}
	switch (e->io.port) {
	case CANARY_BEAT:
		beat(value);
		break;
	case CANARY_MEMORY:
		row.memory++;
		row.memory_bad = value ? value : row.memory_bad;
		break;
	case CANARY_REGISTERS:
		row.registers++;
		row.registers_bad = value ? value : row.registers_bad;
		break;
	case CANARY_STRAY:
		row.stray = value;
		break;
	default:
		break;
	}
}

/* The answer to an IN of theirs, in the place of all ones. */
static void answer(struct vcpu *v, const struct vm_exit *e)
{
	uint32_t id = v->partition->id;

	if (id == HOSTILE_ENEMY && e->io.port == HOSTILE_ROW) {
		v->regs.rax = all_beats;
	}
	if (id == HOSTILE_CANARY && e->io.port == CANARY_BEAT) {
		v->regs.rax = boot.tsc_hz / 1000;
	}
	if (partition_is_host(v->partition) &&
	    e->io.port == HOSTILE_NO_PAGE) {
		v->regs.rax = pages_left;
	}
}

/* An exit, or what is done before an entry, has taken that long. One that ended its
 * partition is none of these: it may take its time, once. */
static void took(const struct vcpu *v, const char *where, uint64_t ticks)
{
	bool host = partition_is_host(v->partition);
	uint64_t *longest = host ? &row.host_longest : &row.longest;

	own();
	if (ticks > *longest) {
		*longest = ticks;
		*(host ? &row.host_where : &row.where) = where;
	}
	disown();
}

/** In front of exit_handle(): its time, and that it leaves no lock behind. */
void __wrap_exit_handle(struct vcpu *v, const struct vm_exit *e)
{
	uint32_t cpu = this_cpu()->index;
	bool dword = e->code == VM_EXIT_IO && e->io.size == 4 &&
		     !e->io.string;
	int32_t locks = held[cpu];
	uint64_t began;

	if (dword && !e->io.in) {
		own();
		hear(v, e);
		disown();
	}
	killed[cpu] = false;
	began = rdtsc();
	__real_exit_handle(v, e);
	if (!killed[cpu]) {
		took(v, vm_exit_names[e->code], rdtsc() - began);
	}
	if (held[cpu] != locks) {
		row.locks++;
	}
	if (dword && e->io.in) {
		answer(v, e);
	}
}

/** In front of vcpu_prepare(): likewise. */
bool __wrap_vcpu_prepare(struct vcpu *v)
{
	uint32_t cpu = this_cpu()->index;
	int32_t locks = held[cpu];
	uint64_t began = rdtsc();
	bool runs = __real_vcpu_prepare(v);

	took(v, "entry", rdtsc() - began);
	if (held[cpu] != locks) {
		row.locks++;
	}
	return runs;
}

/** In front of partition_kill(): how many of the enemy's lives a row has cost. */
void __wrap_partition_kill(struct vcpu *v, enum hc_reason reason,
			   uint64_t detail)
{
	killed[this_cpu()->index] = true;
	if (v->partition->state == HC_STATE_RUNNING) {
		own();
		row.kills++;
		disown();
	}
	__real_partition_kill(v, reason, detail);
}

/** In front of the locks: how many this CPU holds. */
void __wrap_lock_take(struct lock *l)
{
	__real_lock_take(l);
	if (armed) {
		held[this_cpu()->index]++;
	}
}

bool __wrap_lock_try(struct lock *l)
{
	bool taken = __real_lock_try(l);

	if (armed && taken) {
		held[this_cpu()->index]++;
	}
	return taken;
}

void __wrap_lock_drop(struct lock *l)
{
	if (armed) {
		held[this_cpu()->index]--;
	}
	__real_lock_drop(l);
}

/** In front of frame_take(): there is none, once, when the host partition says so. The
 * others are not counted: on its CPU nobody else is in a call meanwhile. */
hpa_t __wrap_frame_take(uint8_t who)
{
	if (this_cpu()->index == 0 && pages_left && !--pages_left) {
		return HPA(FRAME_NULL);
	}
	return __real_frame_take(who);
}

/** In front of partition_create_all(): each CPU is itself from here on. */
void __wrap_partition_create_all(const struct boot_info *bi)
{
	armed = true;
	__real_partition_create_all(bi);
}
