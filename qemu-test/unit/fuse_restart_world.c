/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "host-bridge/fs/volume_disk.h"
#include "host-bridge/rt/legacy.h"
#include "qemu-test/unit/fuse_restart_world.h"

#define FRAMES		256u		/* blocks in memory */
#define LEGACY		0x800000u
#define SESSION		77u		/* of the first */
#define STUCK		200000u		/* turns without an answer */
#define FORGETS		65536u
#define EARLY		5u		/* in a row: ends as it begins */
#define LATE		800u		/* turns until it ends, about */

/* The program. */
static struct {
	struct fake_disk disk;
	struct volume_disk *vd;
	struct volume *vol;		/* NULL: it is not open yet */
	uint8_t *memory;
	struct fuse_server *server;
	uint64_t ended;
} program;

/* A message on its way to Linux, or a notification that it has to carry out. */
struct packet {
	struct packet *next;
	uint32_t len;
	_Alignas(8) uint8_t bytes[];
};

struct packets {
	struct packet *first, **last;
};

/* A Linux. */
static struct guest {
	struct fuse_conn *conn;		/* NULL: it has none */
	bool blocked;
	struct call calls[CALLS];
	struct call *order[CALLS];	/* as they were sent */
	unsigned out;
	uint64_t unique;
	bool up, known;			/* HELLO is answered; was ever */
	struct packets from;		/* the host */
	uint8_t *to;			/* to the host, */
	size_t to_at, to_len, to_space;	/* taken so far; in all */
	struct packets notices;
	uint64_t notified, carried_out;
	struct fuse_forget_one forgets[FORGETS];
	unsigned forget_count;
} guests[GUESTS];

static struct image image;
static uint8_t *legacy, *copy;
static uint64_t seed;
static unsigned seconds, quiet, features, row, early;	/* early: turns, as LATE */
struct restart_counts counts;

int64_t volume_now_ns(void)
{
	static int64_t now = 1700000000000000000ll;

	return now += 1000;
}

unsigned world_chance(unsigned n)
{
	return (unsigned)(fake_chance(&seed) % n);
}

/* ---- The program ---- */

static void program_begin(void)
{
	size_t bytes = FRAMES * image.block_size;

	program.memory = malloc(bytes);
	assert_non_null(program.memory);
	fake_disk_open(&program.disk, image.data, image.size, 512, features);
	program.disk.seed = fake_chance(&seed);
	program.disk.unfair = world_chance(3);
	assert_int_equal(volume_disk_new(&program.disk.dev, program.memory,
					 bytes, &program.vd), 0);
	legacy_init(legacy, LEGACY, program.ended);
	if (program.ended > 0) {
		volume_disk_follow(program.vd, legacy_settle);
	}
}

static bool step(void)
{
	if (volume_disk_due(program.vd)) {
		volume_disk_run(program.vd);
		return true;
	}
	return fake_disk_step(&program.disk);
}

static void program_open(void)
{
	char why[JOURNAL_WHY];
	int error = volume_disk_open(program.vd, &program.vol, why);

	assert_true(error != EAGAIN || step());
	if (error == EAGAIN) {
		return;
	}
	if (error != 0) {
		fail_msg("%d: %s", error, why);
	}
	program.server = fuse_server_new(program.vol,
					 volume_disk_turns(program.vd));
	assert_non_null(program.server);
	for (unsigned i = 0; i < GUESTS; i++) {
		fuse_server_peer(program.server, &guests[i], i + 1);
	}
	fuse_server_peers_known(program.server);
}

/* Gives its memory back, in a world of its own. */
static void program_free(void)
{
	for (unsigned i = 0; i < GUESTS; i++) {
		if (guests[i].conn != NULL) {
			fuse_conn_free(guests[i].conn);
			guests[i].conn = NULL;
		}
	}
	if (program.server != NULL) {
		fuse_server_free(program.server);
	}
	while (step()) {
	}
	volume_disk_free(program.vd);
	fake_disk_close(&program.disk);
	free(program.memory);
	program.vol = NULL;
	program.server = NULL;
}

/* What the disk has when nothing more comes from the program. */
static void take_image(void)
{
	memcpy(image.data, program.disk.now, image.size);
	for (unsigned i = 0; i < program.disk.pending_count; i++) {
		const struct block_req *req = program.disk.pending[i];
		const struct fake_write *w =
			&program.disk.log[program.disk.pending_log[i]];

		if (req->op == BLOCK_WRITE && world_chance(2)) {
			memcpy(image.data + w->sector * 512, w->data,
			       (size_t)w->sectors * 512);
		}
	}
}

static void linux_down(struct guest *g);

static void program_end(void)
{
	counts.ends++;
	counts.early += program.vol == NULL;
	counts.met += guests[0].out > 0;
	take_image();
	memcpy(copy, legacy, LEGACY);
	for (unsigned i = 0; i < GUESTS; i++) {
		linux_down(&guests[i]);
	}
	program_free();
	memcpy(legacy, copy, LEGACY);
	program.ended++;
	program_begin();
}

/* ---- The wire ---- */

static void packets_put(struct packets *list, struct packet *packet)
{
	packet->next = NULL;
	*list->last = packet;
	list->last = &packet->next;
}

static struct packet *packets_get(struct packets *list)
{
	struct packet *packet = list->first;

	list->first = packet->next;
	if (list->first == NULL) {
		list->last = &list->first;
	}
	return packet;
}

static void packets_drop(struct packets *list)
{
	while (list->first != NULL) {
		free(packets_get(list));
	}
}

static bool on_send(void *arg, const struct volume_seg *segs, unsigned count)
{
	struct guest *g = arg;
	struct packet *packet;
	size_t len = 0;

	for (unsigned i = 0; i < count; i++) {
		len += segs[i].len;
	}
	packet = malloc(sizeof(*packet) + len);
	assert_non_null(packet);
	packet->len = (uint32_t)len;
	len = 0;
	for (unsigned i = 0; i < count; i++) {
		memcpy(packet->bytes + len, segs[i].data, segs[i].len);
		len += segs[i].len;
	}
	packets_put(&g->from, packet);
	g->blocked = world_chance(8) == 0;
	return !g->blocked;
}

static void on_end(void *arg)
{
	(void)arg;
	fail_msg("the host has ended the connection");
}

static const struct fuse_conn_ops ops = { .send = on_send, .end = on_end };

static void to_host(struct guest *g, const void *data, size_t len)
{
	if (g->to_at == g->to_len) {
		g->to_at = g->to_len = 0;
	}
	if (g->to_len + len > g->to_space) {
		g->to_space = 2 * (g->to_len + len);
		g->to = realloc(g->to, g->to_space);
		assert_non_null(g->to);
	}
	memcpy(g->to + g->to_len, data, len);
	g->to_len += len;
}

/* The program takes some of what was sent. */
static void feed(struct guest *g)
{
	size_t len = g->to_len - g->to_at, used = 0;
	uint8_t *some;

	if (world_chance(4) == 0) {
		len = 1 + world_chance((unsigned)len);
	}
	some = malloc(len);
	assert_non_null(some);
	memcpy(some, g->to + g->to_at, len);
	assert_int_equal(fuse_conn_input(g->conn, some, len, UINT64_MAX,
					 &used), 0);
	free(some);
	g->to_at += used;
}

/* ---- Linux ---- */

static void say(struct guest *g, uint32_t opcode, uint64_t unique,
		const void *body, size_t len)
{
	struct fuse_in_header head = {
		.len = (uint32_t)(sizeof(head) + len), .opcode = opcode,
		.unique = unique,
	};

	to_host(g, &head, sizeof(head));
	to_host(g, body, len);
}

static void linux_up(struct guest *g)
{
	struct fuse_channel_hello hello = {
		.version = FUSE_CHANNEL_VERSION, .session = SESSION + (uint64_t)(g - guests),
		.notified = g->notified,
	};

	g->conn = fuse_conn_new(program.server, &ops, g, g);
	assert_non_null(g->conn);
	g->blocked = false;
	say(g, FUSE_CHANNEL_HELLO, UINT64_MAX, &hello, sizeof(hello));
}

/* What was on its way either way is lost. */
static void linux_down(struct guest *g)
{
	packets_drop(&g->from);
	g->to_at = g->to_len = 0;
	g->up = false;
}

static void put_forget(struct guest *g, const struct fuse_forget_one *one)
{
	struct fuse_in_header head = {
		.len = sizeof(head) + sizeof(struct fuse_forget_in),
		.opcode = FUSE_FORGET, .unique = ++g->unique * 2,
		.nodeid = one->nodeid,
	};
	struct fuse_forget_in in = { .nlookup = one->nlookup };

	to_host(g, &head, sizeof(head));
	to_host(g, &in, sizeof(in));
}

static void tell_done(struct guest *g)
{
	struct fuse_channel_done done = { g->carried_out };

	say(g, FUSE_NOTIFY_REPLY, ++g->unique * 2 + 1, &done, sizeof(done));
}

static void hello_answered(struct guest *g,
			   const struct fuse_channel_hello_out *hello)
{
	assert_int_equal(hello->version, FUSE_CHANNEL_VERSION);
	assert_int_equal(hello->flags, g->known ? FUSE_CHANNEL_RESUMED : 0);
	g->up = g->known = true;
	for (unsigned i = 0; i < g->out; i++) {
		to_host(g, g->order[i]->bytes, g->order[i]->len);
		counts.again++;
	}
	assert_true(hello->forgets <= g->forget_count);
	for (uint64_t i = hello->forgets; i < g->forget_count; i++) {
		put_forget(g, &g->forgets[i]);
	}
	if (g->carried_out > 0) {
		tell_done(g);
	}
}

static void answered(struct guest *g, const struct fuse_out_header *head,
		     const uint8_t *body)
{
	struct call *c = NULL;

	for (unsigned i = 0; i < g->out; i++) {
		if (g->order[i]->unique == head->unique) {
			c = g->order[i];
			memmove(&g->order[i], &g->order[i + 1],
				(--g->out - i) * sizeof(c));
			break;
		}
	}
	if (c == NULL) {
		fail_msg("an answer that nobody waits for: %lu",
			 (unsigned long)head->unique);
	}
	c->answered = true;
	c->error = -head->error;
	c->reply_len = head->len - (uint32_t)sizeof(*head);
	assert_true(c->reply_len <= sizeof(c->reply));
	memcpy(c->reply, body, c->reply_len);
	quiet = 0;
}

/* Linux gets the next message. */
static void deliver(struct guest *g)
{
	struct packet *packet = packets_get(&g->from);
	struct fuse_out_header head;
	const uint8_t *body = packet->bytes + sizeof(head);

	memcpy(&head, packet->bytes, sizeof(head));
	assert_int_equal(head.len, packet->len);
	if (head.unique == UINT64_MAX) {
		struct fuse_channel_hello_out hello;

		assert_int_equal(head.error, 0);
		memcpy(&hello, body, sizeof(hello));
		hello_answered(g, &hello);
	} else if (head.unique == 0) {
		g->notified++;
		packets_put(&g->notices, packet);
		return;
	} else {
		answered(g, &head, body);
	}
	free(packet);
}

/* It carries the next notification out, whoever is there to hear of it. */
static void obey(struct guest *g)
{
	struct packet *packet = packets_get(&g->notices);
	struct fuse_out_header head;

	memcpy(&head, packet->bytes, sizeof(head));
	world_notice((unsigned)(g - guests), head.error,
		     packet->bytes + sizeof(head));
	free(packet);
	g->carried_out++;
	if (g->up) {
		tell_done(g);
	}
}

struct call *world_call(unsigned number, uint32_t opcode, uint64_t nodeid)
{
	struct guest *g = &guests[number];
	struct call *c = g->calls;
	struct fuse_in_header head = { .opcode = opcode, .nodeid = nodeid };

	while (c->unique != 0) {
		c++;
		assert_true(c < g->calls + CALLS);
	}
	c->guest = number;
	c->unique = head.unique = ++g->unique * 2;
	c->answered = false;
	memcpy(c->bytes, &head, sizeof(head));
	c->len = sizeof(head);
	return c;
}

void call_put(struct call *c, const void *data, size_t len)
{
	assert_true(len <= sizeof(c->bytes) - c->len);
	memcpy(c->bytes + c->len, data, len);
	c->len += (uint32_t)len;
}

void call_name(struct call *c, const char *name)
{
	call_put(c, name, strlen(name) + 1);
}

void world_send(struct call *c)
{
	struct guest *g = &guests[c->guest];


	memcpy(c->bytes, &c->len, sizeof(c->len));
	g->order[g->out++] = c;
	if (g->up) {
		to_host(g, c->bytes, c->len);
	}
	counts.requests++;
}

void world_done(struct call *c)
{
	c->unique = 0;
}

void world_forget(unsigned number, uint64_t nodeid, uint64_t count)
{
	struct guest *g = &guests[number];
	struct fuse_forget_one *one = &g->forgets[g->forget_count++];

	assert_true(g->forget_count < FORGETS);
	*one = (struct fuse_forget_one){ nodeid, count };
	if (g->up) {
		put_forget(g, one);
	}
}

/* ---- All of it ---- */

/* A turn of a program that is at work. */
static void work(void)
{
	struct guest *g = &guests[world_chance(GUESTS)];

	switch (world_chance(9)) {
	case 0:
	case 1:
		if (volume_disk_due(program.vd)) {
			volume_disk_run(program.vd);
		}
		break;
	case 2:
	case 3:
		(void)fake_disk_step(&program.disk);
		break;
	case 4:
		if (fuse_server_ready(program.server)) {
			(void)fuse_server_go_on(program.server,
						world_chance(2) ? 0 : UINT64_MAX);
		}
		break;
	case 5:
		if (g->from.first != NULL) {
			deliver(g);
		}
		break;
	case 6:
		if (g->conn != NULL && g->blocked) {
			g->blocked = false;
			g->blocked = !fuse_conn_writable(g->conn);
		}
		if (world_chance(500) == 0) {
			volume_disk_tick(program.vd, ++seconds);
		}
		break;
	case 7:
		if (g->notices.first != NULL && world_chance(3) == 0) {
			obey(g);
		}
		break;
	default:
		if (g->conn == NULL) {
			linux_up(g);
		} else if (g->to_at < g->to_len && !g->blocked &&
			   !fuse_conn_held(g->conn)) {
			feed(g);
		}
		break;
	}
}

void world_turn(bool ends)
{
	if (++quiet > STUCK) {
		fail_msg("nobody is answered any more");
	}
	if (ends && (program.vol != NULL
		     ? world_chance(LATE) == 0
		     : row < EARLY && world_chance(early) == 0)) {
		row = program.vol != NULL ? 0 : row + 1;
		program_end();
	}
	if (program.vol == NULL) {
		program_open();
	} else {
		work();
	}
}

void world_begin(const struct image *im, unsigned disk_features,
		 uint64_t new_seed)
{
	image_copy(&image, im);
	seed = new_seed;
	features = disk_features;
	seconds = quiet = row = 0;
	early = 40 << new_seed % 4;
	memset(&program, 0, sizeof(program));
	memset(&counts, 0, sizeof(counts));
	memset(guests, 0, sizeof(guests));
	for (unsigned i = 0; i < GUESTS; i++) {
		guests[i].from.last = &guests[i].from.first;
		guests[i].notices.last = &guests[i].notices.first;
	}
	legacy = calloc(1, LEGACY);
	copy = malloc(LEGACY);
	assert_true(legacy != NULL && copy != NULL);
	program_begin();
}

static void on_ready(struct volume_wait *wait)
{
	(void)wait;
}

void world_end(struct image *to)
{
	struct volume_wait wait = { .ready = on_ready };
	int error;

	for (unsigned i = 0; i < GUESTS; i++) {
		linux_down(&guests[i]);
		packets_drop(&guests[i].notices);
		free(guests[i].to);
		fuse_conn_free(guests[i].conn);
		guests[i].conn = NULL;
	}
	fuse_server_free(program.server);
	program.server = NULL;
	while ((error = volume_disk_close(program.vd, &wait)) == EAGAIN) {
		assert_true(step());
	}
	assert_int_equal(error, 0);
	volume_disk_end(program.vd, &wait);
	fake_disk_settle(&program.disk);
	take_image();
	program_free();
	legacy_init(NULL, 0, 0);
	free(legacy);
	free(copy);
	*to = image;
	to->place.arg = to;
}
