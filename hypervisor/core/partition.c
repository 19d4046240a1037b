/* SPDX-License-Identifier: MIT */
/*
 * Partitions: made from the manifest at boot, started, populated on demand,
 * killed, stopped, started again. partition.h says what guards it all.
 *
 * The manifest's numbers have been checked by boot/. Guest-physical addresses
 * and counts come from guests and are checked here, against the partition's
 * RAM (demand[]) and against page owners, before a table or an owner changes.
 */
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

/* Pages of 4 KiB made present at a fault when no zeroed unit is ready: keeps
 * a single exit short. */
#define FILL_PAGES	16u

struct partition *partitions[BOOT_MAX_PARTITIONS];
uint32_t partition_count;

static struct partition pool[BOOT_MAX_PARTITIONS];

/** Partition by id, or NULL. */
struct partition *partition_get(uint64_t id)
{
	return id < partition_count ? partitions[id] : NULL;
}

/** The host partition (NULL only while booting): there is always one, the first. */
struct partition *partition_host(void)
{
	return partitions[0];
}

/** Raises event bits and wakes HC_WAIT; p may be NULL. Any CPU, any context. */
void partition_event(struct partition *p, uint64_t bits)
{
	if (!p) {
		return;
	}
	__atomic_fetch_or(&p->events, bits, __ATOMIC_SEQ_CST);
	if (p->vcpu_count) {
		sched_event(p->vcpus[0]);
		vcpu_wake(p->vcpus[0], VCPU_WAITING, 0);
	}
}

/** Maps what is in p before it starts, with BOOT_MAP_* rights; a contradiction is a
 * panic. Its lock held, but for boot. */
void partition_map(struct partition *p, const struct boot_region *r,
		   uint32_t boot_flags)
{
	if (gpm_map(p, GPA(r->gpa), HPA(r->hpa), r->size, GPM_READ |
		    (boot_flags & BOOT_MAP_WRITE ? GPM_WRITE : 0) |
		    (boot_flags & BOOT_MAP_EXEC ? GPM_EXEC : 0) |
		    (boot_flags & BOOT_MAP_UNCACHED ? GPM_UNCACHED : 0))) {
		panic("partition %s: %#lx cannot be mapped", p->config->name,
		      r->gpa);
	}
}

/* Memory that exists before p runs: loaded regions become p's pages, device
 * memory is mapped and stays nobody's. Of what lies in its RAM a copy is kept, if p
 * may be started again by us. */
static void map_config(struct partition *p)
{
	const struct boot_partition *c = p->config;

	for (uint32_t i = 0; i < c->region_count; i++) {
		const struct boot_region *r = &c->regions[i];

		lock_take(&frame_lock);
		frame_move(FRAME_NONE, partition_frames(p), HPA(r->hpa),
			   r->size);
		/* no less than it will need */
		p->pages_splits += r->flags & BOOT_MAP_EXEC &&
				   hvm->gpm_format->split_exec ?
				   r->size / BIG_PAGE_SIZE : 0;
		lock_drop(&frame_lock);
		partition_map(p, r, r->flags);
		if (c->restarts && partition_has_ram(p, GPA(r->gpa), r->size)) {
			p->copies[i] = hpa_ptr(frame_boot(FRAME_HYPERVISOR,
				r->size, "a copy of its program"));
			__builtin_memcpy((void *)p->copies[i],
					 hpa_ptr(HPA(r->hpa)), r->size);
		}
	}
	for (uint32_t i = 0; i < c->mmio_count; i++) {
		partition_map(p, &c->mmio[i], c->mmio[i].flags | BOOT_MAP_UNCACHED);
	}
}

/* The I/O permission bitmap, for both vendors: 64 Ki bits and one page more,
 * of ones, for AMD-V's accesses that reach beyond port 0xffff. All but native
 * ports exit. [SDM3 "I/O-Bitmap Addresses"; APM2 "I/O Permissions Map"] */
static void make_ports(struct partition *p)
{
	uint32_t i, port;

	p->native_ports = hpa_ptr(frame_boot(FRAME_HYPERVISOR, 3 * PAGE_SIZE,
					     "a partition's ports"));
	__builtin_memset(p->native_ports, 0xff, 3 * PAGE_SIZE);
	for (i = 0; i < p->config->port_count; i++) {
		const struct boot_port *r = &p->config->ports[i];

		for (port = r->first; r->policy == BOOT_PORT_NATIVE &&
		     port <= r->last; port++) {
			clear_bit(p->native_ports, port);
		}
	}
}

/* Where a new vCPU is pinned: the host partition has CPU 0; those of all others
 * together go round the CPUs, from the next one on, so that none has two while
 * another has none. */
static struct percpu *home_cpu(const struct partition *p)
{
	static uint32_t others;

	return cpus[(partition_is_host(p) ? 0 : ++others) % cpu_count];
}

/* vCPUs with backend state and FPU area, pinned and queued, stopped. */
static void make_vcpus(struct partition *p)
{
	for (uint32_t i = 0; i < p->config->vcpus && i < PARTITION_MAX_VCPUS; i++) {
		struct vcpu *v = hpa_ptr(frame_boot(FRAME_HYPERVISOR,
						    sizeof(*v), "a vCPU"));

		_Static_assert(sizeof(*v) <= PAGE_SIZE, "struct vcpu");
		v->fpu = hpa_ptr(frame_boot(FRAME_HYPERVISOR, PAGE_SIZE,
					    "a vCPU's FPU state"));
		v->partition = p;
		v->index = i;
		v->name = p->id << 8 | i << 16;
		v->lapic.id = i;
		v->cpu = home_cpu(p);
		p->vcpus[i] = v;
		p->vcpu_count = i + 1;
		hvm->vcpu_init(v);
		sched_add(v);
	}
}

/**
 * Makes every partition of the manifest: address map, ports, backend's
 * bitmaps, vCPUs; none runs yet. Boot CPU, all CPUs are up (vCPUs are pinned
 * to them). Too little memory is a panic.
 */
void partition_create_all(const struct boot_info *bi)
{
	for (uint32_t i = 0; i < bi->partition_count; i++) {
		struct partition *p = &pool[i];

		p->id = i;
		p->config = &bi->partitions[i];
		p->flags = p->config->flags;
		p->pages_cap = p->config->mem_cap / PAGE_SIZE;
		p->pages_min = p->config->mem_min / PAGE_SIZE;
		p->gpm_root = frame_boot(partition_frames(p), PAGE_SIZE,
					 "a partition's address map");
		p->gpm_epoch = 1;	/* a vCPU's 0 never equals it: flush */
		p->pages_tables = 1;
		partitions[i] = p;
		partition_count = i + 1;
		map_config(p);
		make_ports(p);
		p->native_msrs = msr_map();
		make_vcpus(p);
	}
}

/**
 * A new life of p, which is stopped: its own TSC is 0 at tsc. That it runs is the
 * caller's to say, when all is ready. On CPU 0.
 */
void partition_begin(struct partition *p, uint64_t tsc)
{
	p->reason = HC_REASON_NONE;
	p->start_tsc = tsc;
	p->begin_tsc = rdtsc();
	/* the host partition's stay over a restart */
	if (!p->start_count++ || !partition_is_host(p)) {
		channel_map_all(p);
	}
}

/**
 * Starts vCPU 0 of a stopped partition with the state s; the others wait for
 * INIT and SIPI. Its TSC begins at 0, the host partition's is the machine's.
 * HC_EBUSY: it is not stopped. On CPU 0.
 */
hv_status_t partition_start(struct partition *p, const struct vcpu_start *s)
{
	struct vcpu *v = p->vcpus[0];

	if (p->state != HC_STATE_STOPPED) {
		return HC_EBUSY;
	}
	partition_begin(p, rdtsc());
	for (uint32_t i = 0; i < p->vcpu_count; i++) {
		p->vcpus[i]->tsc_offset = partition_is_host(p) ? 0 :
					  -p->start_tsc;
		p->vcpus[i]->kvmclock_msr = 0;
	}
	/* before the wake-ups: the scheduler runs nothing of a partition that
	 * is not RUNNING. From here on it may end at any time. */
	__atomic_store_n(&p->state, HC_STATE_RUNNING, __ATOMIC_SEQ_CST);
	for (uint32_t i = 1; i < p->vcpu_count; i++) {
		p->vcpus[i]->start.kind = VCPU_RESET_SIPI;
		vcpu_wake(p->vcpus[i], VCPU_STOPPED, VCPU_ATT_INIT);
	}
	v->start = *s;
	vcpu_wake(v, VCPU_STOPPED, VCPU_ATT_RESET);
	return HC_OK;
}

/**
 * Ends a partition for what one of its vCPUs did: one line in the log, a dump,
 * an event for the host partition. Its memory stays until HC_PARTITION_STOP.
 * Of several vCPUs the first reason counts. The host partition is started again at
 * once, if it may be; else its end is a panic. On the CPU of v (its registers are
 * read), no lock held. detail: see HC_QUERY_STATE.
 */
void partition_kill(struct vcpu *v, enum hc_reason reason, uint64_t detail)
{
	static struct lock dump_lock;	/* one's lines, and vcpu_dump()'s data */
	struct partition *p = v->partition;
	bool first;

	lock_take(&p->lock);
	first = p->state == HC_STATE_RUNNING;
	if (first) {
		p->crash_rip = hvm->vcpu_get(v, VCPU_RIP);
		p->crash_detail = detail;
		p->reason = reason;
		__atomic_store_n(&p->state, HC_STATE_CRASHED, __ATOMIC_SEQ_CST);
		channel_partition_down(p);
	}
	lock_drop(&p->lock);
	if (!first) {
		return;
	}
	lock_take(&dump_lock);
	log_write("isthmus: partition %s stopped: reason %u detail %#lx at RIP "
		  "%#lx", p->config->name, reason, detail, p->crash_rip);
	if (partition_is_host(p) && p->start_count > p->config->restarts) {
		/* nobody is left to tell the user */
		panic("the host partition crashed: reason %u detail %#lx at "
		      "RIP %#lx", reason, detail, p->crash_rip);
	}
	vcpu_dump(v);
	lock_drop(&dump_lock);
	if (partition_is_host(p)) {
		restart_host(v);
		return;
	}
	/* those on other CPUs leave at their next exit, which this makes now */
	for (uint32_t i = 0; i < p->vcpu_count; i++) {
		sched_kick(p->vcpus[i]);
	}
	partition_event(partition_host(), HC_EVENT_PARTITION);
}

/* Every vCPU out of its run loop? Those that are not get a kick. p->state has
 * been changed with a full barrier before this looks at running, and the
 * scheduler sets running with one before it looks at p->state: so either the
 * vCPU is seen here, or it sees that it must not run. */
static bool all_stopped(struct partition *p)
{
	bool stopped = true;

	for (uint32_t i = 0; i < p->vcpu_count; i++) {
		struct vcpu *v = p->vcpus[i];

		if (__atomic_load_n(&v->running, __ATOMIC_ACQUIRE)) {
			sched_kick(v);
			stopped = false;
		} else {
			__atomic_store_n(&v->state, VCPU_STOPPED,
					 __ATOMIC_SEQ_CST);
		}
	}
	return stopped;
}

/**
 * HC_PARTITION_STOP: HC_EAGAIN until all vCPUs have left the CPUs, all memory is
 * back in the pool and the channels' sections are clear. In any state; a stopped
 * partition loses what was donated to it. HC_EPERM: the host partition. HC_EBUSY:
 * a template that has children, which stays as it is. On CPU 0.
 */
hv_status_t partition_stop(struct partition *p)
{
	if (partition_is_host(p)) {
		return HC_EPERM;
	}
	if (p->children) {
		return HC_EBUSY;
	}
	lock_take(&p->lock);
	if (p->state != HC_STATE_STOPPING) {
		p->teardown_gpa = 0;
		p->teardown_channels = 0;
		/* a crash has told the channels' peers already */
		if (p->state == HC_STATE_RUNNING) {
			p->reason = HC_REASON_HOST_REQUEST;
			channel_partition_down(p);
		}
		__atomic_store_n(&p->state, HC_STATE_STOPPING,
				 __ATOMIC_SEQ_CST);
	}
	lock_drop(&p->lock);
	if (!all_stopped(p)) {
		return HC_EAGAIN;
	}
	if (p->teardown_gpa != ~0ull) {
		p->teardown_gpa = gpm_teardown(p, p->teardown_gpa, BIT64(48));
		return HC_EAGAIN;
	}
	if (!channel_clear(p, &p->teardown_channels)) {
		return HC_EAGAIN;
	}
	for (uint32_t i = 0; i < p->vcpu_count; i++) {
		/* nothing of this life reaches the next */
		p->vcpus[i]->attention = p->vcpus[i]->kept = 0;
		p->vcpus[i]->lapic.deadline = VLAPIC_OFF;
		p->vcpus[i]->ioreq.word = 0;
	}
	/* before it can run again: its freed pages may be others' by now */
	p->gpm_epoch++;
	zero_memory(p->release, sizeof(p->release));
	p->pages_populated = 0;
	if (p->template) {
		p->template->children--;
		p->template = NULL;
	}
	__atomic_store_n(&p->state, HC_STATE_STOPPED, __ATOMIC_RELEASE);
	return HC_OK;
}

/**
 * Is [gpa, +size) RAM of p, within one range? gpa and size may be anything: no
 * sum of them is formed that could wrap. Constant: no lock.
 */
bool partition_has_ram(const struct partition *p, gpa_t gpa, uint64_t size)
{
	for (uint32_t i = 0; i < p->config->demand_count; i++) {
		const struct boot_demand *d = &p->config->demand[i];

		if (gpa.v >= d->gpa && gpa.v - d->gpa < d->size &&
		    d->size - (gpa.v - d->gpa) >= size) {
			return true;
		}
	}
	return false;
}

/* A page for p that it may have, or with zeroed a unit of 2 MiB; FRAME_NULL: there
 * is none. */
static hpa_t take(struct partition *p, bool *zeroed)
{
	hpa_t pa = HPA(FRAME_NULL);

	lock_take(&frame_lock);
	if (promise_allows(p, zeroed ? BIG_PAGE_PAGES : 1)) {
		pa = zeroed ? frame_take_big(partition_frames(p), zeroed) :
		     frame_take(partition_frames(p));
	}
	if (pa.v != FRAME_NULL && zeroed && *zeroed) {
		p->pages_splits += hvm->gpm_format->split_exec;
	}
	lock_drop(&frame_lock);
	return pa;
}

/* The 2 MiB stretch around gpa in one go: present at once if the unit is
 * zeroed, else reserved. false: not possible here, or no unit or table is
 * left; the stretch is as before then, and a single page may still do. So it is
 * with a child, of which there may be many: it has what it touches. */
static bool populate_big(struct partition *p, uint64_t gpa)
{
	uint64_t base = gpa & ~BIG_PAGE_MASK;
	bool zeroed;
	hpa_t pa;

	if (p->template || !partition_has_ram(p, GPA(base), BIG_PAGE_SIZE) ||
	    !gpm_range_empty(p, GPA(base))) {
		return false;
	}
	pa = take(p, &zeroed);
	if (pa.v == FRAME_NULL) {
		return false;
	}
	if (zeroed ? gpm_map(p, GPA(base), pa, BIG_PAGE_SIZE, GPM_ALL) :
	    gpm_reserve_big(p, GPA(base), pa)) {
		gpm_give(p, pa, BIG_PAGE_SIZE,
			 zeroed && hvm->gpm_format->split_exec ? -1 : 0);
		return false;
	}
	p->pages_populated += BIG_PAGE_PAGES;
	return true;
}

/* One page of 4 KiB for p alone: zeroes, or in the place of what is shared there a
 * copy of that, which nobody may write to yet. */
static bool populate_page(struct partition *p, gpa_t gpa,
			  const struct gpm_entry *shared)
{
	hpa_t pa = shared && gpm_split(p, gpa) ? HPA(FRAME_NULL) :
		   take(p, NULL);

	if (pa.v == FRAME_NULL) {
		return false;
	}
	if (shared) {
		__builtin_memcpy(hpa_ptr(pa), hpa_ptr(shared->pa),
				 PAGE_SIZE);
		gpm_clear(p, gpa);
		__atomic_add_fetch(&p->gpm_epoch, 1, __ATOMIC_SEQ_CST);
	} else {
		zero_memory(hpa_ptr(pa), PAGE_SIZE);
	}
	if (gpm_map(p, GPA(gpa.v & ~PAGE_MASK), pa, PAGE_SIZE,
		    shared ? GPM_ALL & ~GPM_WRITE : GPM_ALL)) {
		gpm_give(p, pa, PAGE_SIZE, 0);
		return false;
	}
	p->pages_populated++;
	return true;
}

/**
 * Gives v's partition the page of RAM at gpa that v touched, to write it or not;
 * true too if it is there already. Returns false with *why when it is not its
 * RAM (HC_REASON_GPM_FAULT), or memory has run out (HC_REASON_NO_MEMORY). gpa
 * may be anything. v is in its run loop; its partition's lock held.
 */
bool partition_populate(struct vcpu *v, gpa_t gpa, bool write,
			enum hc_reason *why)
{
	struct partition *p = v->partition;
	uint64_t n = FILL_PAGES;
	struct gpm_entry e;
	bool found;

	*why = HC_REASON_GPM_FAULT;
	if (!partition_has_ram(p, GPA(gpa.v & ~PAGE_MASK), PAGE_SIZE)) {
		return false;
	}
	*why = HC_REASON_NO_MEMORY;
	found = gpm_lookup(p, gpa, &e);
	if (found && e.reserved && e.size == BIG_PAGE_SIZE) {
		gpm_restore(p, gpa);
		found = gpm_lookup(p, gpa, &e);
	}
	if (!found && p->template && !e.empty) {
		if (gpm_share(p, gpa)) {
			return false;
		}
		found = gpm_lookup(p, gpa, &e);
	}
	if (!found && populate_big(p, gpa.v)) {
		found = gpm_lookup(p, gpa, &e);
		n /= 2;
	}
	if ((!found || (e.shared && write)) &&
	    !populate_page(p, gpa, found ? &e : NULL)) {
		return false;
	}
	if (found && e.reserved) {
		/* the neighbours will be touched next; fewer of them where a
		 * unit and its tables have cost much already */
		gpm_fill(p, GPA(gpa.v & ~(n * PAGE_SIZE - 1)), (uint32_t)n,
			 GPM_ALL);
	} else if (found && write && !e.write && p->template) {
		/* Others of p's vCPUs may know what was there before: until they
		 * do not, nobody may write to what is there now, and v waits for
		 * that. */
		v->copied = gpa;
		__atomic_fetch_or(&v->attention, VCPU_ATT_OTHERS,
				  __ATOMIC_SEQ_CST);
	}
	*why = HC_REASON_GPM_FAULT;
	return true;
}

/**
 * Where the hypervisor can reach a partition's RAM: [gpa, +len) within one
 * page, populated if need be, to write to it or not. NULL: it is not RAM of its
 * own (a channel, a device), or memory has run out. No lock held, on the CPU of
 * v, which is in its run loop: the pointer is good until its next entry, for
 * until then neither partition_stop() nor release_memory() gives the page away;
 * and beyond while gpm_epoch is what it was before the call. The partition may
 * change the bytes at any time.
 */
void *partition_memory(struct vcpu *v, gpa_t gpa, uint64_t len, bool write)
{
	struct partition *p = v->partition;
	enum hc_reason why;
	struct gpm_entry e;
	bool ok;

	lock_take(&p->lock);
	ok = (gpa.v & PAGE_MASK) + len <= PAGE_SIZE &&
	     partition_populate(v, gpa, write, &why) &&
	     gpm_lookup(p, gpa, &e) && e.present &&
	     (e.shared || frame_is_owner(partition_frames(p), e.pa));
	lock_drop(&p->lock);
	return ok ? (uint8_t *)hpa_ptr(e.pa) + (gpa.v & PAGE_MASK) : NULL;
}
