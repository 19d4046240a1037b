/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls: decode (every argument checked, nothing changed), then act. The
 * ABI is abi/hypercall.h, in prose docs/hypercalls.md. On the caller's CPU;
 * results go into its registers.
 *
 * All registers are the caller's choice. No argument is a pointer, so no guest
 * memory is read or written here. Each call is bounded. What changes a partition
 * holds its lock; HC_WAIT and HC_DOORBELL, which a remote call consists of, touch
 * the caller's own state and raise bits, and take none. HC_WAIT blocks only
 * afterwards, in vcpu_prepare(). The host partition has one vCPU, so of the calls
 * that are its own there is one at a time, on CPU 0.
 */
#include <hv.h>
#include <iommu.h>
#include <partition.h>
#include <pci.h>
#include <percpu.h>
#include <x86.h>

#define LOG_CHUNK	24u

/* 16 characters of a name in two registers, the first in the lowest byte,
 * padded with zeroes; a longer one is cut. */
static void put_name(uint64_t *lo, uint64_t *hi, const char *name)
{
	uint64_t v[2] = { 0, 0 };

	for (uint32_t i = 0; i < 16 && name[i]; i++) {
		v[i / 8] |= (uint64_t)(uint8_t)name[i] << (i % 8 * 8);
	}
	*lo = v[0];
	*hi = v[1];
}

/* HC_INFO: for everybody, never fails. */
static hv_status_t hc_info(struct vcpu *v)
{
	return guest_give(&v->regs, HC_ABI_VERSION, v->partition->id,
			  boot.tsc_hz, cpu_count, partition_count);
}

/* HC_WAIT does not wait here: the attention bit makes vcpu_prepare() look for
 * events before the next entry, with no lock held, and block there. */
static hv_status_t hc_wait(struct vcpu *v)
{
	/* 0 and ~0 are no times but "now" and "never" */
	v->wait_deadline = v->regs.rdi == ~0ull || !v->regs.rdi ?
			   v->regs.rdi : v->regs.rdi - v->tsc_offset;
	vcpu_next(v, VCPU_ATT_WAIT);
	return HC_OK;
}

/* HC_IOREQ_GET: an access that this program has not fetched, each partition in its turn, and
 * of one each vCPU: who asks again as soon as it is answered, on CPUs of its own,
 * holds up no other, however many vCPUs it has. */
static hv_status_t hc_ioreq_get(struct vcpu *v)
{
	static uint32_t turn;	/* the partition after the last one served */
	uint32_t n, m, k;

	for (n = 0; n < partition_count; n++) {
		struct partition *p = partitions[(turn + n) % partition_count];

		for (m = 0; m < p->vcpu_count; m++) {
			struct vcpu *g;

			k = (p->ioreq_turn + m) % p->vcpu_count;
			g = p->vcpus[k];
			if (g->state != VCPU_IOREQ ||
			    g->ioreq.taken == v->partition->start_count) {
				continue;
			}
			g->ioreq.taken = v->partition->start_count;
			turn += n + 1;
			p->ioreq_turn = k + 1;
			return guest_give(&v->regs, (uint64_t)p->id << 16 | k,
					  g->ioreq.word, g->ioreq.value,
					  g->ioreq.rip, 0);
		}
	}
	return HC_ENOENT;
}

/* HC_IOREQ_DONE. A stop of the partition has changed the state, so a late
 * answer is refused and cannot reach its next life. */
static hv_status_t hc_ioreq_done(struct vcpu *v)
{
	struct partition *p = partition_get(v->regs.rdi >> 16);
	uint64_t index = v->regs.rdi & 0xffff;
	struct vcpu *g;

	if (!p || index >= p->vcpu_count) {
		return HC_EINVAL;
	}
	g = p->vcpus[index];
	/* answered twice, or before it was fetched */
	if (g->state != VCPU_IOREQ ||
	    g->ioreq.taken != v->partition->start_count) {
		return HC_EBUSY;
	}
	g->ioreq.value = v->regs.rsi;
	/* the value is there before the bit; complete_ioreq() runs on g's CPU
	 */
	vcpu_wake(g, VCPU_IOREQ, VCPU_ATT_IOREQ);
	return HC_OK;
}

/* HC_PARTITION_START. That RIP, CR3 or GDT lead nowhere is the partition's
 * trouble, not ours: it faults and is stopped. */
static hv_status_t hc_partition_start(struct vcpu *v)
{
	struct partition *p = partition_get(v->regs.rdi);
	struct vcpu_start s = {
		.kind = VCPU_RESET_LONG, .rip = v->regs.rsi, .cr3 = v->regs.rdx,
		.rsi = v->regs.r10, .gdt = v->regs.r8,
	};

	/* a start state that VM entry would refuse is refused here */
	if (!p || s.cr3 >> (cpuid(0x80000008, 0).eax & 0x3f) ||
	    (s.cr3 & PAGE_MASK) || s.rip >= BIT64(47) || s.gdt >= BIT64(47)) {
		return HC_EINVAL;
	}
	return partition_start(p, &s);
}

static hv_status_t hc_fork(struct vcpu *v)
{
	struct guest_regs *r = &v->regs;
	struct partition *t = partition_get(r->rsi);

	return t && (r->rdi == HC_FORK_READ || r->rdi == HC_FORK_WRITE) ?
	       record_call(t, v->partition, r->rdi == HC_FORK_WRITE, r) :
	       fork_call(r->rdi, r->rsi, r->rdx);
}

/* HC_MEM_RELEASE: what the blocks are is release_memory()'s to check. */
static hv_status_t hc_release(struct vcpu *v)
{
	const struct guest_regs *r = &v->regs;
	const uint64_t block[HC_RELEASE_BLOCKS] = {
		r->rdi, r->rsi, r->rdx, r->r10, r->r8,
	};
	hv_status_t st;

	lock_take(&v->partition->lock);
	st = release_memory(v, block);
	lock_drop(&v->partition->lock);
	return st;
}

/* HC_LOG_READ: 24 bytes at a time fit the three registers that are left. */
static hv_status_t hc_log_read(struct vcpu *v)
{
	uint64_t cursor = v->regs.rdi, words[LOG_CHUNK / 8] = { 0, 0, 0 };
	uint64_t bytes = log_read(&cursor, (char *)words, LOG_CHUNK);

	return guest_give(&v->regs, cursor, bytes, words[0], words[1], words[2]);
}

/* The three queries with a partition as index; what is one of them. */
static hv_status_t query_partition(struct vcpu *v, uint64_t what,
				   struct partition *p)
{
	struct guest_regs *r = &v->regs;
	bool up = p->state == HC_STATE_RUNNING;

	switch (what) {
	case HC_QUERY_STATE:
		return guest_give(r, p->state, p->reason, p->crash_rip,
				  p->crash_detail, p->start_count);
	case HC_QUERY_MEMORY:
		return guest_give(r, promise_owned(p) * PAGE_SIZE,
				  p->pages_cap * PAGE_SIZE,
				  p->pages_populated * PAGE_SIZE, p->vcpu_count,
				  up ? rdtsc() - p->begin_tsc : 0);
	case HC_QUERY_SURE:
		return guest_give(r, promise_sure(p) * PAGE_SIZE,
				  promise_owned(p) * PAGE_SIZE, 0, 0, 0);
	default:
		put_name(&r->rdi, &r->rsi, p->config->name);
		r->rdx = p->vcpu_count;
		r->r10 = p->flags;
		return HC_OK;
	}
}

/* Counters of running vCPUs are read as they are: statistics. */
static hv_status_t query_exits(struct vcpu *v, struct partition *p)
{
	uint64_t code = v->regs.rdx, sum = 0;

	/* the end of the list, as its reader expects it */
	if (code >= VM_EXIT_COUNT) {
		return HC_ENOENT;
	}
	for (uint32_t i = 0; i < p->vcpu_count; i++) {
		sum += p->vcpus[i]->exits[code];
	}
	v->regs.rdi = sum;
	put_name(&v->regs.rsi, &v->regs.rdx, vm_exit_names[code]);
	return HC_OK;
}

/* Only of what is over: the run that a CPU is in counts when it ends. */
static hv_status_t query_cpu(struct vcpu *v, uint64_t index)
{
	struct percpu *pc;
	/* ticks of the vCPUs pinned to it */
	uint64_t guest = 0;

	if (index >= cpu_count) {
		return HC_ENOENT;
	}
	pc = cpus[index];
	for (uint32_t i = 0; i < pc->vcpu_count; i++) {
		guest += pc->vcpus[i]->ticks_run;
	}
	return guest_give(&v->regs, pc->idle_ticks, guest,
			  rdtsc() - pc->boot_tsc, pc->apic_id, 0);
}

/* In the order of enum frame_owner, without FRAME_NONE; all as they were when
 * the first was asked for, so that a list's sum is right. */
static hv_status_t query_owner(struct vcpu *v, uint64_t index)
{
	static const char *const names[] = {
		"free", "hypervisor", "channels",
	};
	static uint64_t bytes[ARRAY_SIZE(names) + BOOT_MAX_PARTITIONS];

	if (index >= ARRAY_SIZE(names) + partition_count) {
		return HC_ENOENT;
	}
	if (index == 0) {
		lock_take(&frame_lock);
		for (uint32_t i = 0; i < ARRAY_SIZE(bytes); i++) {
			bytes[i] = frame_owned((uint8_t)(FRAME_FREE + i));
		}
		lock_drop(&frame_lock);
	}
	v->regs.rdi = bytes[index];
	put_name(&v->regs.rsi, &v->regs.rdx,
		 index < ARRAY_SIZE(names) ? names[index] :
		 partitions[index - ARRAY_SIZE(names)]->config->name);
	return HC_OK;
}

/* HC_QUERY: index is checked by each kind, against what it counts. */
static hv_status_t hc_query(struct vcpu *v)
{
	uint64_t what = v->regs.rdi, index = v->regs.rsi;
	struct partition *p = partition_get(index);

	switch (what) {
	case HC_QUERY_STATE:
	case HC_QUERY_MEMORY:
	case HC_QUERY_NAME:
	case HC_QUERY_SURE:
		return p ? query_partition(v, what, p) : HC_ENOENT;
	case HC_QUERY_EXITS:
		return p ? query_exits(v, p) : HC_ENOENT;
	case HC_QUERY_CPU:
		return query_cpu(v, index);
	case HC_QUERY_OWNER:
		return query_owner(v, index);
	case HC_QUERY_CHANNEL:
		return channel_query(v->partition, index, &v->regs);
	case HC_QUERY_IOMMU:
		return iommu_report_query(index, &v->regs);
	case HC_QUERY_ISOLATION:
		return check_query(&v->regs);
	case HC_QUERY_MAP:
		return check_query_map(index, &v->regs);
	default:
		return HC_EINVAL;
	}
}

/* Calls that any partition may make. */
static hv_status_t call_any(struct vcpu *v, uint64_t nr)
{
	switch (nr) {
	case HC_INFO:
		return hc_info(v);
	case HC_CHANNEL_STATE:
		/* a state word has 32 bits */
		if (v->regs.rsi > UINT32_MAX) {
			return HC_EINVAL;
		}
		return channel_set_state(v->partition, v->regs.rdi,
					 (uint32_t)v->regs.rsi);
	case HC_MEM_RELEASE:
		return hc_release(v);
	default:
		/* the host partition comes here too, but only with what no
		 * case knows */
		return nr < HC_COUNT ? HC_EPERM : HC_ENOSYS;
	}
}

/* Calls of the host partition; what is not its alone is everybody's. */
static hv_status_t call_host(struct vcpu *v, uint64_t nr)
{
	struct partition *p = partition_get(v->regs.rdi);

	switch (nr) {
	case HC_IOREQ_GET:
		return hc_ioreq_get(v);
	case HC_IOREQ_DONE:
		return hc_ioreq_done(v);
	case HC_MEM_DONATE:
		return donate_memory(v->partition, GPA(v->regs.rsi), p,
				     GPA(v->regs.rdx), v->regs.r10);
	case HC_PARTITION_START:
		return hc_partition_start(v);
	case HC_PARTITION_STOP:
		return p ? partition_stop(p) : HC_EINVAL;
	case HC_QUERY:
		return hc_query(v);
	case HC_FORK:
		return hc_fork(v);
	case HC_CLOCK:
		return kvmclock_set_wall(v->regs.rdi);
	case HC_LOG_READ:
		return hc_log_read(v);
	case HC_IRQ:
		return irq_control(v->regs.rdi, v->regs.rsi);
	case HC_PCI:
		return pci_call(v);
	default:
		return call_any(v, nr);
	}
}

/* Not part of hypercall_handle(): the frequent calls save no registers for it. */
static NOINLINE hv_status_t call(struct vcpu *v, uint64_t nr)
{
	return partition_is_host(v->partition) ? call_host(v, nr) :
	       call_any(v, nr);
}

/**
 * One hypercall. Only CPL 0 in 64-bit mode may call; others get #UD and the
 * instruction is not done. On v's CPU, no lock held.
 */
void hypercall_handle(struct vcpu *v, const struct vm_exit *e)
{
	uint64_t nr = v->regs.rax;
	hv_status_t st;

	if (!hvm->vcpu_get(v, VCPU_KERNEL64)) {
		vcpu_inject_ud(v);
		return;
	}
	/* a call that fails is done, too: it does not run again */
	hvm->vcpu_advance_rip(v, e->rip, e->insn_len);
	if (nr == HC_WAIT && partition_is_host(v->partition)) {
		st = hc_wait(v);
	} else if (nr == HC_DOORBELL) {
		st = channel_doorbell(v->partition, v->regs.rdi);
	} else {
		st = call(v, nr);
	}
	v->regs.rax = (uint64_t)(int64_t)st;
}
