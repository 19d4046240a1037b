/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls: every number with every bad argument, by the host partition and
 * by another. What they act on is fake and tells what it was asked for.
 */
#include "hv_calls.h"

static struct boot_partition config[2];
static struct vcpu host_vcpu, linux_vcpu[2];

hv_status_t record_call(struct partition *t, struct partition *own,
			bool write, struct guest_regs *r)
{
	(void)t;
	(void)own;
	(void)write;
	(void)r;
	return HC_EINVAL;
}

static int make(void **state)
{
	(void)state;
	fakes_reset();
	memset(&asked, 0, sizeof(asked));
	memset(part, 0, sizeof(part));
	strcpy(config[0].name, "host");
	strcpy(config[1].name, "linux");
	part[0].config = &config[0];
	part[0].flags = BOOT_PARTITION_HOST;
	part[0].state = HC_STATE_RUNNING;
	part[0].start_count = 1;
	part[1].config = &config[1];
	part[1].id = 1;
	partitions[0] = &part[0];
	partitions[1] = &part[1];
	partition_count = 2;
	fake_vcpu_init(&host_vcpu, &part[0], 0);
	fake_vcpu_init(&linux_vcpu[0], &part[1], 0);
	fake_vcpu_init(&linux_vcpu[1], &part[1], 1);
	fake.reg[VCPU_RIP] = 0x1000;
	return 0;
}

static int64_t call(struct vcpu *v, uint64_t nr, uint64_t rdi, uint64_t rsi,
		    uint64_t rdx, uint64_t r10, uint64_t r8)
{
	uint64_t rip = fake.reg[VCPU_RIP];
	struct vm_exit e = { .code = VM_EXIT_HYPERCALL, .rip = rip, .insn_len = 3 };

	v->regs = (struct guest_regs){ .rax = nr, .rdi = rdi, .rsi = rsi,
				       .rdx = rdx, .r10 = r10, .r8 = r8,
				       .rbx = 0xb, .rcx = 0xc, .r15 = 0xf };
	hypercall_handle(v, &e);
	assert_int_equal(fake.lock_depth, 0);
	assert_int_equal(fake.reg[VCPU_RIP], rip + 3);
	/* no call touches these */
	assert_int_equal(v->regs.rbx, 0xb);
	assert_int_equal(v->regs.rcx, 0xc);
	assert_int_equal(v->regs.r15, 0xf);
	return (int64_t)v->regs.rax;
}

/* The call fails with st; nothing was asked for, no register is changed but
 * RAX, no state at all. */
static void refused(struct vcpu *v, hv_status_t st, uint64_t nr, uint64_t rdi,
		    uint64_t rsi, uint64_t rdx, uint64_t r10, uint64_t r8)
{
	struct partition before[2];
	struct vcpu vcpus[3];
	struct fakes fakes;

	memcpy(before, part, sizeof(part));
	vcpus[0] = host_vcpu;
	vcpus[1] = linux_vcpu[0];
	vcpus[2] = linux_vcpu[1];
	fakes = fake;
	asked.calls = 0;
	if (call(v, nr, rdi, rsi, rdx, r10, r8) != st) {
		fail_msg("call %llu: %lld, not %d", (unsigned long long)nr,
			 (long long)v->regs.rax, st);
	}
	assert_int_equal(asked.calls, 0);
	assert_int_equal(v->regs.rdi, rdi);
	assert_int_equal(v->regs.rsi, rsi);
	assert_int_equal(v->regs.rdx, rdx);
	assert_int_equal(v->regs.r10, r10);
	assert_int_equal(v->regs.r8, r8);
	host_vcpu.regs = vcpus[0].regs;
	linux_vcpu[0].regs = vcpus[1].regs;
	linux_vcpu[1].regs = vcpus[2].regs;
	assert_memory_equal(before, part, sizeof(part));
	assert_memory_equal(&vcpus[0], &host_vcpu, sizeof(host_vcpu));
	assert_memory_equal(&vcpus[1], &linux_vcpu[0], sizeof(host_vcpu));
	assert_memory_equal(&vcpus[2], &linux_vcpu[1], sizeof(host_vcpu));
	assert_int_equal(fakes.wakes, fake.wakes);
	assert_int_equal(fakes.events, fake.events);
}

static void who_may_call(void **state)
{
	static const struct {
		uint32_t reg;
		uint64_t value;
	} bad[] = {
		{ VCPU_CPL, 1 }, { VCPU_CPL, 2 }, { VCPU_CPL, 3 },
		{ VCPU_EFER, EFER_LME }, { VCPU_EFER, 0 },
		{ VCPU_CS_ATTR, 0xc09b }, { VCPU_CS_ATTR, 0x9b },
	};
	struct vm_exit e = { .insn_len = 3 };
	uint32_t i, nr;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		for (nr = 0; nr < 20; nr++) {
			make(state);
			fake.reg[bad[i].reg] = bad[i].value;
			host_vcpu.regs.rax = nr;
			hypercall_handle(&host_vcpu, &e);
			assert_int_equal(fake.injected, 1);
			assert_int_equal(fake.event.vector, X86_EXC_UD);
			assert_false(fake.event.has_error);
			assert_int_equal(fake.advanced, 0);
			assert_int_equal(host_vcpu.regs.rax, nr);
			assert_int_equal(fake.locks, 0);
			assert_int_equal(asked.calls, 0);
		}
	}
}

static void no_such_call(void **state)
{
	uint32_t nr, bit;

	(void)state;
	for (nr = HC_COUNT; nr < 70000; nr++) {
		refused(&host_vcpu, HC_ENOSYS, nr, 1, 2, 3, 4, 5);
		refused(&linux_vcpu[0], HC_ENOSYS, nr, 1, 2, 3, 4, 5);
	}
	/* the whole of RAX is the number */
	for (bit = 16; bit < 64; bit++) {
		refused(&host_vcpu, HC_ENOSYS, BIT64(bit) | HC_INFO, 0, 0, 0,
			0, 0);
	}
}

static void host_only(void **state)
{
	uint32_t nr;

	(void)state;
	for (nr = 0; nr < HC_COUNT; nr++) {
		if (nr != HC_INFO && nr != HC_DOORBELL &&
		    nr != HC_CHANNEL_STATE && nr != HC_MEM_RELEASE) {
			refused(&linux_vcpu[0], HC_EPERM, nr, 0, 0, 0, 0, 0);
			refused(&linux_vcpu[1], HC_EPERM, nr, 1, 1, 1, 1, 1);
		}
	}
}

static void info(void **state)
{
	(void)state;
	assert_int_equal(call(&linux_vcpu[1], HC_INFO, 9, 9, 9, 9, 9), HC_OK);
	assert_int_equal(linux_vcpu[1].regs.rdi, HC_ABI_VERSION);
	assert_int_equal(linux_vcpu[1].regs.rsi, 1);
	assert_int_equal(linux_vcpu[1].regs.rdx, boot.tsc_hz);
	assert_int_equal(linux_vcpu[1].regs.r10, 2);
	assert_int_equal(linux_vcpu[1].regs.r8, 2);
}

static void wait(void **state)
{
	static const struct {
		uint64_t rdi, offset, deadline;
	} t[] = {
		{ 0, 0, 0 }, { ~0ull, 0, ~0ull }, { 5000, 0, 5000 },
		/* with a TSC of its own: now and never stay what they are */
		{ 0, -1000ull, 0 }, { ~0ull, -1000ull, ~0ull },
		{ 5000, -1000ull, 6000 }, { 5000, 1000, 4000 },
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(t); i++) {
		make(state);
		host_vcpu.tsc_offset = t[i].offset;
		assert_int_equal(call(&host_vcpu, HC_WAIT, t[i].rdi, 0, 0, 0,
				      0), HC_OK);
		assert_int_equal(host_vcpu.wait_deadline, t[i].deadline);
		assert_int_equal(host_vcpu.attention, VCPU_ATT_WAIT);
	}
	assert_int_equal(fake.locks, 0);
}

static void ioreq(void **state)
{
	struct vcpu *g = &linux_vcpu[1];

	(void)state;
	refused(&host_vcpu, HC_ENOENT, HC_IOREQ_GET, 1, 2, 3, 4, 5);
	refused(&host_vcpu, HC_EBUSY, HC_IOREQ_DONE, 0x10001, 0, 0, 0, 0);
	g->state = VCPU_IOREQ;
	g->ioreq = (struct ioreq){ .word = 0x103f8, .value = 'x',
				   .rip = 0x777 };
	/* an answer before it was fetched */
	refused(&host_vcpu, HC_EBUSY, HC_IOREQ_DONE, 0x10001, 0, 0, 0, 0);
	assert_int_equal(call(&host_vcpu, HC_IOREQ_GET, 0, 0, 0, 0, 0), HC_OK);
	assert_int_equal(host_vcpu.regs.rdi, 0x10001);
	assert_int_equal(host_vcpu.regs.rsi, 0x103f8);
	assert_int_equal(host_vcpu.regs.rdx, 'x');
	assert_int_equal(host_vcpu.regs.r10, 0x777);
	/* it is given out once */
	refused(&host_vcpu, HC_ENOENT, HC_IOREQ_GET, 0, 0, 0, 0, 0);
	/* .. to each program of the host partition's */
	part[0].start_count++;
	refused(&host_vcpu, HC_EBUSY, HC_IOREQ_DONE, 0x10001, 0, 0, 0, 0);
	assert_int_equal(call(&host_vcpu, HC_IOREQ_GET, 0, 0, 0, 0, 0), HC_OK);
	refused(&host_vcpu, HC_ENOENT, HC_IOREQ_GET, 0, 0, 0, 0, 0);
	/* no such vCPU, no such partition */
	refused(&host_vcpu, HC_EINVAL, HC_IOREQ_DONE, 0x10002, 0, 0, 0, 0);
	refused(&host_vcpu, HC_EINVAL, HC_IOREQ_DONE, 0x1ffff, 0, 0, 0, 0);
	refused(&host_vcpu, HC_EINVAL, HC_IOREQ_DONE, 0x20000, 0, 0, 0, 0);
	refused(&host_vcpu, HC_EINVAL, HC_IOREQ_DONE, 0x100010001, 0, 0, 0, 0);
	refused(&host_vcpu, HC_EINVAL, HC_IOREQ_DONE, ~0ull, 0, 0, 0, 0);
	refused(&host_vcpu, HC_EBUSY, HC_IOREQ_DONE, 0x10000, 0, 0, 0, 0);
	assert_int_equal(call(&host_vcpu, HC_IOREQ_DONE, 0x10001, 0xabcd, 0, 0,
			      0), HC_OK);
	assert_int_equal(g->state, VCPU_RUNNABLE);
	assert_int_equal(g->attention, VCPU_ATT_IOREQ);
	assert_int_equal(g->ioreq.value, 0xabcd);
	refused(&host_vcpu, HC_EBUSY, HC_IOREQ_DONE, 0x10001, 0, 0, 0, 0);
}

/* Two partitions, the first with two vCPUs, all of which ask again as soon as they
 * are answered, the host fetching one at a time: each partition gets every second
 * turn, and of the first each vCPU half of these. */
static void ioreq_turns(void **state)
{
	static struct partition more = { .id = 2 };
	static struct vcpu theirs;
	struct vcpu *all[] = { &linux_vcpu[0], &linux_vcpu[1], &theirs };
	uint32_t served[ARRAY_SIZE(all)] = { 0 }, i, k;

	(void)state;
	partitions[partition_count++] = &more;
	fake_vcpu_init(&theirs, &more, 0);
	for (i = 0; i < 40; i++) {
		for (k = 0; k < ARRAY_SIZE(all); k++) {
			all[k]->state = VCPU_IOREQ;
			all[k]->ioreq.taken = false;
		}
		assert_int_equal(call(&host_vcpu, HC_IOREQ_GET, 0, 0, 0, 0, 0),
				 HC_OK);
		k = (uint32_t)host_vcpu.regs.rdi;
		served[k >> 16 == 2 ? 2 : k & 1]++;
	}
	assert_int_equal(served[0], 10);
	assert_int_equal(served[1], 10);
	assert_int_equal(served[2], 20);
}

static void donate(void **state)
{
	static const uint64_t bad[] = { 2, 3, BIT64(32), BIT64(32) | 1, ~0ull };
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		refused(&host_vcpu, HC_EINVAL, HC_MEM_DONATE, bad[i], 0x1000,
			0x2000, 1, 0);
	}
	asked.answer = HC_ENOMEM;
	assert_int_equal(call(&host_vcpu, HC_MEM_DONATE, 1, 0x1000, 0x2000, 7,
			      0), HC_ENOMEM);
	assert_ptr_equal(asked.who, &part[0]);
	assert_ptr_equal(asked.to, &part[1]);
	assert_int_equal(asked.a, 0x1000);
	assert_int_equal(asked.b, 0x2000);
	assert_int_equal(asked.n, 7);
}

static void release(void **state)
{
	(void)state;
	asked.answer = HC_EAGAIN;
	assert_int_equal(call(&linux_vcpu[1], HC_MEM_RELEASE, 10, 11, 12, 13,
			      14), HC_EAGAIN);
	assert_ptr_equal(asked.who, &part[1]);
	assert_int_equal(asked.a, 10);
	assert_int_equal(asked.b, 1);
	/* nothing but the status comes back */
	assert_int_equal(linux_vcpu[1].regs.rdi, 10);
	assert_int_equal(linux_vcpu[1].regs.r8, 14);
	asked.answer = HC_OK;
	assert_int_equal(call(&host_vcpu, HC_MEM_RELEASE, 1, 2, 3, 4, 5),
			 HC_OK);
	assert_ptr_equal(asked.who, &part[0]);
}

static void start(void **state)
{
	static const struct {
		uint64_t id, rip, cr3, gdt;
	} bad[] = {
		{ 2, 0, 0, 0 }, { ~0ull, 0, 0, 0 },
		{ 1, BIT64(47), 0, 0 }, { 1, ~0ull, 0, 0 },
		{ 1, 0, 1, 0 }, { 1, 0, 0xfff, 0 }, { 1, 0, BIT64(52), 0 },
		{ 1, 0, BIT64(63), 0 }, { 1, 0, ~0xfffull, 0 },
		{ 1, 0, 0, BIT64(47) }, { 1, 0, 0, ~0ull },
	};
	uint64_t widest = BIT64(machine_cpuid(0x80000008, 0).eax & 0xff);
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		refused(&host_vcpu, HC_EINVAL, HC_PARTITION_START, bad[i].id,
			bad[i].rip, bad[i].cr3, 0x55, bad[i].gdt);
	}
	/* CR3 beyond the physical-address width would fail the entry */
	refused(&host_vcpu, HC_EINVAL, HC_PARTITION_START, 1, 0, widest, 0, 0);
	assert_int_equal(call(&host_vcpu, HC_PARTITION_START, 1, 0x1000000,
			      widest - PAGE_SIZE, ~0ull, 0x5000), HC_OK);
	assert_ptr_equal(asked.who, &part[1]);
	assert_int_equal(asked.start.kind, VCPU_RESET_LONG);
	assert_int_equal(asked.start.rip, 0x1000000);
	assert_int_equal(asked.start.cr3, widest - PAGE_SIZE);
	assert_int_equal(asked.start.rsi, ~0ull);
	assert_int_equal(asked.start.gdt, 0x5000);
	assert_false(asked.start.interrupts);
}

static void stop(void **state)
{
	(void)state;
	refused(&host_vcpu, HC_EINVAL, HC_PARTITION_STOP, 2, 0, 0, 0, 0);
	refused(&host_vcpu, HC_EINVAL, HC_PARTITION_STOP, ~0ull, 0, 0, 0, 0);
	asked.answer = HC_EAGAIN;
	assert_int_equal(call(&host_vcpu, HC_PARTITION_STOP, 1, 0, 0, 0, 0),
			 HC_EAGAIN);
	assert_ptr_equal(asked.who, &part[1]);
}

static void queries_refused(void **state)
{
	static const uint64_t of_partition[] = {
		HC_QUERY_STATE, HC_QUERY_MEMORY, HC_QUERY_EXITS, HC_QUERY_NAME,
		HC_QUERY_SURE,
	};
	uint32_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(of_partition); i++) {
		refused(&host_vcpu, HC_ENOENT, HC_QUERY, of_partition[i], 2, 0,
			0, 0);
		refused(&host_vcpu, HC_ENOENT, HC_QUERY, of_partition[i],
			~0ull, 0, 0, 0);
	}
	refused(&host_vcpu, HC_ENOENT, HC_QUERY, HC_QUERY_EXITS, 1,
		VM_EXIT_COUNT, 0, 0);
	refused(&host_vcpu, HC_ENOENT, HC_QUERY, HC_QUERY_EXITS, 1, ~0ull, 0,
		0);
	refused(&host_vcpu, HC_ENOENT, HC_QUERY, HC_QUERY_CPU, 2, 0, 0, 0);
	refused(&host_vcpu, HC_ENOENT, HC_QUERY, HC_QUERY_CPU, ~0ull, 0, 0, 0);
	refused(&host_vcpu, HC_ENOENT, HC_QUERY, HC_QUERY_OWNER, 5, 0, 0, 0);
	refused(&host_vcpu, HC_ENOENT, HC_QUERY, HC_QUERY_OWNER, ~0ull, 0, 0,
		0);
	refused(&host_vcpu, HC_EINVAL, HC_QUERY, HC_QUERY_MAP + 1, 0, 0, 0,
		0);
	refused(&host_vcpu, HC_EINVAL, HC_QUERY, ~0ull, 0, 0, 0, 0);
	refused(&host_vcpu, HC_ENOENT, HC_QUERY, HC_QUERY_IOMMU, 1, 0, 0, 0);
	refused(&host_vcpu, HC_ENOENT, HC_QUERY, HC_QUERY_IOMMU, ~0ull, 0, 0,
		0);
	asked.answer = HC_ENOENT;
	assert_int_equal(call(&host_vcpu, HC_QUERY, HC_QUERY_CHANNEL, 3, 7, 8,
			      9), HC_ENOENT);
	assert_int_equal(host_vcpu.regs.rdx, 7);
	assert_int_equal(host_vcpu.regs.r8, 9);
}

static void name_is(const char *name)
{
	char got[17] = { 0 };

	memcpy(got, &host_vcpu.regs.rsi, 8);
	memcpy(got + 8, &host_vcpu.regs.rdx, 8);
	assert_string_equal(got, name);
}

static void queries(void **state)
{
	struct guest_regs *r = &host_vcpu.regs;

	(void)state;
	part[1].state = HC_STATE_CRASHED;
	part[1].reason = HC_REASON_GPM_FAULT;
	part[1].crash_rip = 0x11;
	part[1].crash_detail = 0x22;
	part[1].start_count = 3;
	pages_owned = 10;
	part[1].pages_cap = 20;
	part[1].pages_populated = 5;
	assert_int_equal(call(&host_vcpu, HC_QUERY, HC_QUERY_STATE, 1, 0, 0,
			      0), HC_OK);
	assert_int_equal(r->rdi, HC_STATE_CRASHED);
	assert_int_equal(r->rsi, HC_REASON_GPM_FAULT);
	assert_int_equal(r->rdx, 0x11);
	assert_int_equal(r->r10, 0x22);
	assert_int_equal(r->r8, 3);
	assert_int_equal(call(&host_vcpu, HC_QUERY, HC_QUERY_MEMORY, 1, 0, 0,
			      0), HC_OK);
	assert_int_equal(r->rdi, 10 * PAGE_SIZE);
	assert_int_equal(r->rsi, 20 * PAGE_SIZE);
	assert_int_equal(r->rdx, 5 * PAGE_SIZE);
	assert_int_equal(r->r10, 2);
	assert_int_equal(r->r8, 0);	/* not running */
	assert_int_equal(call(&host_vcpu, HC_QUERY, HC_QUERY_SURE, 1, 0, 0, 0),
			 HC_OK);
	assert_int_equal(r->rdi, 17 * PAGE_SIZE);
	assert_int_equal(r->rsi, 10 * PAGE_SIZE);
	linux_vcpu[0].exits[VM_EXIT_CPUID] = 7;
	linux_vcpu[1].exits[VM_EXIT_CPUID] = 8;
	assert_int_equal(call(&host_vcpu, HC_QUERY, HC_QUERY_EXITS, 1,
			      VM_EXIT_CPUID, 0, 0), HC_OK);
	assert_int_equal(r->rdi, 15);
	name_is("exactly16letters");
	/* a list is of one moment, whatever moves */
	for (moved = 7; moved < 9; moved++) {
		assert_int_equal(call(&host_vcpu, HC_QUERY, HC_QUERY_OWNER, 0,
				      0, 0, 0), HC_OK);
		name_is("free");
		assert_int_equal(r->rdi, (FRAME_FREE + moved) * PAGE_SIZE);
		moved += 100;
		assert_int_equal(call(&host_vcpu, HC_QUERY, HC_QUERY_OWNER, 4,
				      0, 0, 0), HC_OK);
		moved -= 100;
		assert_int_equal(r->rdi,
				 (FRAME_PARTITION0 + 1 + moved) * PAGE_SIZE);
		name_is("linux");
	}
	moved = 0;
	fake_cpu[1].idle_ticks = 42;
	assert_int_equal(call(&host_vcpu, HC_QUERY, HC_QUERY_CPU, 1, 0, 0, 0),
			 HC_OK);
	assert_int_equal(r->rdi, 42);
	assert_int_equal(r->r10, 2);
	assert_int_equal(call(&host_vcpu, HC_QUERY, HC_QUERY_CHANNEL, 0, 0, 0,
			      0), HC_OK);
	assert_int_equal(r->rdi, 100);
	assert_int_equal(r->r8, 104);
	assert_int_equal(call(&host_vcpu, HC_QUERY, HC_QUERY_IOMMU, 0, 0, 0,
			      0), HC_OK);
	assert_int_equal(r->rdi, 200);
	assert_int_equal(r->r8, 204);
	assert_int_equal(call(&host_vcpu, HC_QUERY, HC_QUERY_ISOLATION, 9, 0, 0,
			      0), HC_OK);
	assert_int_equal(r->rdi, 300);
	assert_int_equal(call(&host_vcpu, HC_QUERY, HC_QUERY_MAP, 1, 5, 0, 0),
			 HC_OK);
	assert_int_equal(r->rdi, 405);
	refused(&host_vcpu, HC_ENOENT, HC_QUERY, HC_QUERY_MAP, 2, 0, 0, 0);
}

static void log_text(void **state)
{
	(void)state;
	assert_int_equal(call(&host_vcpu, HC_LOG_READ, 1000, 0, 0, 0, 0),
			 HC_OK);
	assert_int_equal(host_vcpu.regs.rdi, 1024);
	assert_int_equal(host_vcpu.regs.rsi, 24);
	assert_memory_equal(&host_vcpu.regs.rdx, "01234567", 8);
	assert_memory_equal(&host_vcpu.regs.r10, "89abcdef", 8);
	assert_memory_equal(&host_vcpu.regs.r8, "ghijklmn", 8);
}

static void channels_lines_and_clock(void **state)
{
	(void)state;
	assert_int_equal(call(&linux_vcpu[0], HC_DOORBELL, 5, 0, 0, 0, 0),
			 HC_OK);
	assert_ptr_equal(asked.who, &part[1]);
	assert_int_equal(asked.a, 5);
	refused(&linux_vcpu[0], HC_EINVAL, HC_CHANNEL_STATE, 0, BIT64(32), 0,
		0, 0);
	assert_int_equal(call(&linux_vcpu[0], HC_CHANNEL_STATE, 1, UINT32_MAX,
			      0, 0, 0), HC_OK);
	assert_int_equal(asked.b, UINT32_MAX);
	assert_int_equal(call(&host_vcpu, HC_CLOCK, 7, 0, 0, 0, 0), HC_OK);
	assert_int_equal(asked.a, 7);
	asked.answer = HC_EINVAL;
	assert_int_equal(call(&host_vcpu, HC_CLOCK, 8, 0, 0, 0, 0), HC_EINVAL);
	asked.answer = HC_ENOENT;
	assert_int_equal(call(&host_vcpu, HC_IRQ, 3, 1, 0, 0, 0), HC_ENOENT);
	assert_int_equal(asked.a, 3);
	assert_int_equal(asked.b, 1);
}

#define TEST(f)	cmocka_unit_test_setup(f, make)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(who_may_call), TEST(no_such_call), TEST(host_only),
		TEST(info), TEST(wait), TEST(ioreq), TEST(ioreq_turns),
		TEST(donate), TEST(release), TEST(start),
		TEST(stop), TEST(queries_refused), TEST(queries),
		TEST(log_text), TEST(channels_lines_and_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
