/* SPDX-License-Identifier: MIT */
/*
 * Channels: pages that two partitions share, a doorbell each way, and the state
 * table. The rights of the mappings make each output section writable by its
 * owner alone. The hypervisor lays the region out and clears an end's
 * section when it stops; what the partitions write there it never reads. The MSI-X table page is a
 * device's register page: the entry is read once per delivery.
 *
 * Trust: none in either end. A partition names a channel by its number and
 * reaches only those that it is an end of; port, register and state values are
 * checked or masked here, and a message is confined by vlapic_msi() to the
 * vCPUs of the partition that wrote the table.
 *
 * Locks: a partition's for its own word of the state table and its section; the
 * generation is raised by either end, atomically. The doorbell and the
 * interrupt-control register do without: they change words of their own vCPU's
 * partition and raise bits atomically.
 */
#include <abi/channel.h>
#include <hv.h>
#include <partition.h>
#include <percpu.h>
#include <x86.h>

#define MSIX_ENTRY_SIZE		16u
#define MSIX_CTRL_MASKED	BIT32(0)
#define CLEAR_PIECE		(64ull << 10)

struct channel {
	struct partition *peer[2];	/* end 0 and 1, as in the manifest */
	uint32_t number[2];	/* among the channels of each */
	gpa_t gpa[2];		/* of the region, in each */
	uint64_t output_size;	/* bytes: header page and data area */
	hpa_t region;		/* state table, then the output sections */
	hpa_t msix[2];		/* MSI-X page of a peer that is not the host */
	uint32_t int_control[2];	/* bit 0: the driver takes interrupts */
	uint32_t pending[2];	/* vectors not delivered, masked */
	uint64_t doorbells[2];	/* (any) rung by this peer */
};

static struct channel channels[BOOT_MAX_CHANNELS];
static uint32_t channel_count;
static uint32_t any_pending;	/* some pending[] is not 0 */

/* The table is read-only to both ends, so what is read back from it is what was
 * written here. */
static uint32_t *state_table(const struct channel *c)
{
	return hpa_ptr(c->region);
}

/* p's channel n, as it numbers its own, *end telling which end it is; NULL: it
 * has no such. n is whatever the guest said. */
static struct channel *channel_get(const struct partition *p, uint64_t n,
				   uint32_t *end)
{
	if (n >= p->channel_count) {
		return NULL;
	}
	*end = p->channels[n]->peer[1] == p;
	return p->channels[n];
}

/**
 * Clears p's own sections, so that nothing of this life is left for the peers to
 * read in the next: 64 KiB at a call, as they may be large, and nobody waits for
 * more. *at: 0 at first, then where it goes on; true: all is clear. No vCPU of p
 * runs, and its channels are down. On CPU 0.
 */
bool channel_clear(struct partition *p, uint64_t *at)
{
	uint64_t before = 0, offset, bytes;
	const struct channel *c;
	uint32_t n, end;

	for (n = 0; (c = channel_get(p, n, &end)) != NULL; n++) {
		if (*at - before < c->output_size) {
			offset = *at - before;
			bytes = u64_min(CLEAR_PIECE, c->output_size - offset);
			offset += CHANNEL_OUTPUT_OFFSET(end, c->output_size);
			zero_memory(hpa_ptr(HPA(c->region.v + offset)), bytes);
			*at += bytes;
			return false;
		}
		before += c->output_size;
	}
	return true;
}

/* The peer polls these words: what was done before (sections cleared, a
 * generation) is visible to who sees the new value. */
static void set_word(const struct channel *c, uint32_t word, uint32_t value)
{
	__atomic_store_n(&state_table(c)[word], value, __ATOMIC_RELEASE);
}

/**
 * Makes the manifest's channels: region, MSI-X pages, state table. Nothing is
 * mapped yet. The pages are FRAME_CHANNEL's for ever, so that no partition's
 * end can take them into the pool. Boot CPU, partitions exist, before any runs.
 * No memory for a region is a panic.
 */
void channel_create_all(const struct boot_info *bi)
{
	uint32_t i, k;

	for (i = 0; i < bi->channel_count; i++) {
		const struct boot_channel *b = &bi->channels[i];
		struct channel *c = &channels[i];

		c->output_size = b->output_size;
		c->region = frame_boot(FRAME_CHANNEL,
				       CHANNEL_REGION_SIZE(c->output_size),
				       "a channel");
		for (k = 0; k < 2; k++) {
			c->peer[k] = partitions[b->peer[k]];
			c->number[k] = c->peer[k]->channel_count++;
			c->peer[k]->channels[c->number[k]] = c;
			c->gpa[k] = GPA(b->gpa[k]);
			c->msix[k] = frame_boot(FRAME_CHANNEL, PAGE_SIZE,
						"a channel's MSI-X table");
		}
		set_word(c, CHANNEL_ST_MAGIC, CHANNEL_MAGIC);
		set_word(c, CHANNEL_ST_VERSION, CHANNEL_VERSION);
		set_word(c, CHANNEL_ST_GENERATION, 1);
		set_word(c, CHANNEL_ST_OUTPUT_SIZE, (uint32_t)c->output_size);
		channel_count = i + 1;
	}
}

/* Maps what end may see: the table and the peer's section to read, its own
 * section to write, nothing to execute. A stop has taken the mappings of an
 * earlier start away (gpm_teardown). */
static hv_status_t map_channel(struct channel *c, uint32_t end)
{
	struct partition *p = c->peer[end];
	uint64_t s = c->output_size;
	hv_status_t st;
	uint32_t k;

	st = gpm_map(p, c->gpa[end], c->region, CHANNEL_PAGE, GPM_READ);
	for (k = 0; !st && k < 2; k++) {
		uint64_t off = CHANNEL_OUTPUT_OFFSET(k, s);

		st = gpm_map(p, GPA(c->gpa[end].v + off),
			     HPA(c->region.v + off), s,
			     GPM_READ | (k == end ? GPM_WRITE : 0));
	}
	/* the host partition hears of channels by HC_WAIT's events */
	if (!st && !partition_is_host(p)) {
		st = gpm_map(p, GPA(CHANNEL_GUEST_MSIX_GPA +
				    c->number[end] * PAGE_SIZE),
			     c->msix[end], PAGE_SIZE, GPM_READ | GPM_WRITE);
	}
	return st;
}

/**
 * Maps p's channels before it starts; its own sections are clear, since they
 * were made or since it was stopped, and every vector is masked, as after a
 * reset. On CPU 0. A channel that cannot be mapped (no page for
 * a table, or the manifest put something there) is logged and p starts without
 * it; if it touches the place, it is ended.
 */
void channel_map_all(struct partition *p)
{
	uint32_t n, v, end;
	struct channel *c;

	for (n = 0; (c = channel_get(p, n, &end)) != NULL; n++) {
		uint32_t *table = hpa_ptr(c->msix[end]);

		zero_memory(table, PAGE_SIZE);
		for (v = 0; v < CHANNEL_MSIX_VECTORS; v++) {
			/* [PCI 3.0 "MSI-X Table Structure"]: address, address
			 * high, data, control */
			table[v * 4 + 3] = MSIX_CTRL_MASKED;
		}
		c->int_control[end] = 0;
		c->pending[end] = 0;
		if (map_channel(c, end)) {
			log_write("isthmus: partition %s: channel %u cannot "
				  "be mapped", p->config->name, n);
		}
	}
}

/* Delivers vector of c's device to the partition at end, or notes it. Without
 * its lock, so p may stop meanwhile: then a vCPU that no longer runs gets an IRR
 * bit, which the next start's reset clears. */
static void deliver(struct channel *c, uint32_t end, uint32_t vector)
{
	struct partition *p = c->peer[end];
	const volatile uint32_t *entry;
	uint32_t address, data, control;

	if (p->state != HC_STATE_RUNNING) {
		return;
	}
	if (!(__atomic_load_n(&c->int_control[end], __ATOMIC_SEQ_CST) & 1)) {
		/* told when it enables them; if it does so just now, it may
		 * have looked before the bit was there */
		__atomic_fetch_or(&c->pending[end], BIT32(vector),
				  __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&c->int_control[end], __ATOMIC_SEQ_CST)) {
			__atomic_store_n(&any_pending, 1, __ATOMIC_SEQ_CST);
		}
		return;
	}
	/* the guest may write the entry at any time: each word is read once,
	 * and a torn one harms nobody but the writer */
	entry = (volatile uint32_t *)hpa_ptr(c->msix[end]) +
		vector * MSIX_ENTRY_SIZE / 4;
	address = entry[0];
	data = entry[2];
	control = entry[3];
	if (control & MSIX_CTRL_MASKED) {
		/* the bit first: channel_poll() clears any_pending before it
		 * looks */
		__atomic_fetch_or(&c->pending[end], BIT32(vector),
				  __ATOMIC_SEQ_CST);
		__atomic_store_n(&any_pending, 1, __ATOMIC_SEQ_CST);
		return;
	}
	/* the upper address word is left out: it must be 0 on a PC */
	vlapic_msi(address, data, p->vcpus[0]);
}

/* Tells the partition at end of a doorbell or of a new state word. Never
 * blocks: what is not taken now is one bit, however often it is rung. */
static void notify(struct channel *c, uint32_t end, bool doorbell)
{
	struct partition *p = c->peer[end];

	if (partition_is_host(p)) {
		partition_event(p, doorbell ? HC_EVENT_DOORBELL(c->number[end]) :
				HC_EVENT_STATE(c->number[end]));
	} else {
		deliver(c, end, doorbell ? 1 : 0);
	}
}

/**
 * HC_DOORBELL: rings the other end of p's channel n. HC_ENOENT: there is no
 * such channel, or p is none of its ends. On a CPU that runs p; no lock needed.
 */
hv_status_t channel_doorbell(struct partition *p, uint64_t n)
{
	uint32_t end;
	struct channel *c = channel_get(p, n, &end);

	if (!c) {
		return HC_ENOENT;
	}
	__atomic_fetch_add(&c->doorbells[end], 1, __ATOMIC_RELAXED);
	notify(c, !end, true);
	return HC_OK;
}

/**
 * HC_CHANNEL_STATE and the state register: sets p's own word of the state
 * table; the peer hears of it if it changed. The value is p's matter, the peer
 * must take any. HC_ENOENT as for the doorbell. HC_EBUSY: p has ended, which its
 * other vCPUs need not know yet, and its words stay down. No lock held.
 */
hv_status_t channel_set_state(struct partition *p, uint64_t n, uint32_t value)
{
	uint32_t end;
	struct channel *c = channel_get(p, n, &end);
	bool runs;

	if (!c) {
		return HC_ENOENT;
	}
	lock_take(&p->lock);
	runs = p->state == HC_STATE_RUNNING;
	if (runs && state_table(c)[CHANNEL_ST_STATE(end)] != value) {
		set_word(c, CHANNEL_ST_STATE(end), value);
		notify(c, !end, false);
	}
	lock_drop(&p->lock);
	return runs ? HC_OK : HC_EBUSY;
}

/**
 * p crashed or is being stopped: its words go to down, generations grow, peers
 * are told. Its lock held. The new generation comes before the word, so a peer
 * that sees "down" knows that the ring of before is void.
 */
void channel_partition_down(struct partition *p)
{
	struct channel *c;
	uint32_t n, end;

	for (n = 0; (c = channel_get(p, n, &end)) != NULL; n++) {
		__atomic_fetch_add(&state_table(c)[CHANNEL_ST_GENERATION], 1,
				   __ATOMIC_SEQ_CST);
		set_word(c, CHANNEL_ST_STATE(end), CHANNEL_STATE_DOWN);
		notify(c, !end, false);
	}
}

/** Has b as many channels as a, with the same ends, at the same places? */
bool channel_same(const struct partition *a, const struct partition *b)
{
	const struct channel *c, *d;
	uint32_t n, i, k;

	for (n = 0; (c = channel_get(a, n, &i)) != NULL &&
	     (d = channel_get(b, n, &k)) != NULL && i == k &&
	     c->gpa[i].v == d->gpa[k].v && c->output_size == d->output_size;
	     n++) {
	}
	return n == a->channel_count && n == b->channel_count;
}

/**
 * p, a child of t of the same shape, has just begun: its devices are as t's
 * driver has left them, so that it can be told of the reset, and the generation
 * is none that it knows. On CPU 0.
 */
void channel_fork(const struct partition *t, struct partition *p)
{
	struct channel *c;
	uint32_t n, end;

	for (n = 0; (c = channel_get(p, n, &end)) != NULL; n++) {
		const struct channel *from = channel_get(t, n, &end);
		uint32_t g = state_table(from)[CHANNEL_ST_GENERATION];

		__builtin_memcpy(hpa_ptr(c->msix[end]),
				 hpa_ptr(from->msix[end]), PAGE_SIZE);
		c->int_control[end] = from->int_control[end];
		if (state_table(c)[CHANNEL_ST_GENERATION] < g) {
			set_word(c, CHANNEL_ST_GENERATION, g);
		}
		c->pending[end] = BIT32(0);
		any_pending = 1;
		notify(c, !end, false);
	}
}

/**
 * What a record has of p's channels, from it or (load) to it. p is a template: its
 * children will have it so. On CPU 0.
 */
void channel_record(const struct partition *p, struct channel_record *r,
		    bool load)
{
	struct channel *c;
	uint32_t n, end;

	for (n = 0; (c = channel_get(p, n, &end)) != NULL; n++, r++) {
		uint32_t *table = hpa_ptr(c->msix[end]);

		if (load) {
			__builtin_memcpy(table, r->msix, sizeof(r->msix));
			c->int_control[end] = r->int_control & 1;
			set_word(c, CHANNEL_ST_GENERATION, r->generation);
		} else {
			__builtin_memcpy(r->msix, table, sizeof(r->msix));
			r->int_control = c->int_control[end];
			r->generation = state_table(c)[CHANNEL_ST_GENERATION];
		}
	}
}

/* A vector that was masked when it was due, or interrupts that have been
 * enabled after a doorbell: what the driver missed it gets now. The exchange
 * lets two CPUs do this at once: each bit is taken by one of them. */
static void redeliver(struct channel *c, uint32_t end)
{
	uint32_t due = __atomic_exchange_n(&c->pending[end], 0,
					   __ATOMIC_SEQ_CST);
	uint32_t v;

	for (v = 0; v < CHANNEL_MSIX_VECTORS; v++) {
		if (due & BIT32(v)) {
			deliver(c, end, v);
		}
	}
}

/**
 * Tries masked vectors again: an unmask is a plain store that causes no exit.
 * From the scheduler of any CPU, at least once a slice; no lock held. Those
 * still masked note themselves again.
 */
void channel_poll(void)
{
	uint32_t n, end;

	/* an old value costs one slice, no more */
	if (!any_pending) {
		return;
	}
	__atomic_store_n(&any_pending, 0, __ATOMIC_SEQ_CST);
	for (n = 0; n < channel_count; n++) {
		for (end = 0; end < 2; end++) {
			redeliver(&channels[n], end);
		}
	}
}

/**
 * HC_QUERY_CHANNEL, answered into r: generation, p's end, bytes of an output
 * section, doorbells rung by p, doorbells rung by the peer. HC_ENOENT as for the
 * doorbell. The counters are statistics: one that two vCPUs raise at once may lose a count.
 */
hv_status_t channel_query(struct partition *p, uint64_t n, struct guest_regs *r)
{
	uint32_t end;
	struct channel *c = channel_get(p, n, &end);

	if (!c) {
		return HC_ENOENT;
	}
	return guest_give(r, state_table(c)[CHANNEL_ST_GENERATION], end,
			  c->output_size, c->doorbells[end], c->doorbells[!end]);
}

/* Registers of [docs/channel.md]; those that are write-only or not there read
 * as all ones, like a port with nothing behind it. */
static uint32_t register_read(const struct channel *c, uint32_t end,
			      uint32_t reg)
{
	return reg == CHANNEL_IO_ID ? end : reg == CHANNEL_IO_MAX_PEERS ? 2 :
	       reg == CHANNEL_IO_INT_CONTROL ? c->int_control[end] :
	       reg == CHANNEL_IO_STATE ? state_table(c)[CHANNEL_ST_STATE(end)] :
	       0xffffffff;
}

/**
 * An I/O exit on a channel's registers? Answers it and returns true; false: not
 * ours (another port, no dword, no channel of that number at this partition),
 * so the manifest's port list decides. On v's CPU, no lock held. The
 * doorbell is answered without one: it only raises bits. This is the one
 * exit of a remote call, so it comes before the port list.
 */
bool channel_io(struct vcpu *v, const struct vm_exit *e)
{
	/* wraps for ports below; refused before it is used */
	uint32_t off = (uint32_t)e->io.port - CHANNEL_GUEST_IO_PORT;
	uint32_t n = off / CHANNEL_IO_SIZE, reg = off % CHANNEL_IO_SIZE;
	struct channel *c;
	uint32_t end;

	if (e->io.port < CHANNEL_GUEST_IO_PORT || e->io.size != 4 ||
	    partition_is_host(v->partition)) {
		return false;
	}
	c = channel_get(v->partition, n, &end);
	if (!c) {
		return false;
	}
	if (e->io.in) {
		v->regs.rax = register_read(c, end, reg);
		return true;
	}
	switch (reg) {
	case CHANNEL_IO_DOORBELL:
		__atomic_fetch_add(&c->doorbells[end], 1, __ATOMIC_RELAXED);
		notify(c, !end, true);
		break;
	case CHANNEL_IO_INT_CONTROL:
		__atomic_store_n(&c->int_control[end],
				 (uint32_t)v->regs.rax & 1, __ATOMIC_SEQ_CST);
		redeliver(c, end);
		break;
	case CHANNEL_IO_STATE:
		(void)channel_set_state(v->partition, n, (uint32_t)v->regs.rax);
		break;
	default:
		break;
	}
	return true;
}
