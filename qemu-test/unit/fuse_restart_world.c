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
#define SESSION		77u
#define STUCK		200000u		/* turns without an answer */
#define FORGETS		65536u
#define EARLY		5u		/* ends in a row as it begins */
#define LATE		800u		/* turns until it ends, about */

/* The program. */
static struct {
	struct fake_disk disk;
	struct volume_disk *vd;
	struct volume *vol;		/* NULL: it is not open yet */
	uint8_t *memory;
	struct fuse_server *server;
	struct fuse_conn *conn;		/* NULL: Linux has none */
	bool blocked;
	uint64_t ended;
} program;

/* A message on its way to Linux. */
struct packet {
	struct packet *next;
	uint32_t len;
	uint8_t bytes[];
};

static struct {
	struct call calls[CALLS];
	struct call *order[CALLS];	/* as they were sent */
	unsigned out;
	uint64_t unique;
	bool up, known;			/* HELLO is answered; was ever */
	struct packet *first, **last;	/* from the host */
	uint8_t *to;			/* to the host, */
	size_t to_at, to_len, to_space;	/* taken so far; in all */
	uint64_t notified;
	struct fuse_forget_one forgets[FORGETS];
	unsigned forget_count;
} guest;

static struct image image;
static uint8_t *legacy, *copy;
static uint64_t seed;
static unsigned seconds, quiet, features;
/* It ends as it begins in one of so many turns; so often, by now, in a row. */
static unsigned early, row;
static int peer;
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

	if (error == EAGAIN) {
		assert_true(step());
		return;
	}
	if (error != 0) {
		fail_msg("%d: %s", error, why);
	}
	program.server = fuse_server_new(program.vol,
					 volume_disk_turns(program.vd));
	assert_non_null(program.server);
	fuse_server_peer(program.server, &peer, 1);
	fuse_server_peers_known(program.server);
}

/* Gives its memory back, in a world of its own. */
static void program_free(void)
{
	if (program.conn != NULL) {
		fuse_conn_free(program.conn);
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
	program.conn = NULL;
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

static void linux_down(void);

static void program_end(void)
{
	counts.ends++;
	counts.early += program.vol == NULL;
	counts.met += guest.out > 0;
	take_image();
	memcpy(copy, legacy, LEGACY);
	linux_down();
	program_free();
	memcpy(legacy, copy, LEGACY);
	program.ended++;
	program_begin();
}

/* ---- The wire ---- */

static bool on_send(void *arg, const struct volume_seg *segs, unsigned count)
{
	struct packet *packet;
	size_t len = 0;

	(void)arg;
	for (unsigned i = 0; i < count; i++) {
		len += segs[i].len;
	}
	packet = malloc(sizeof(*packet) + len);
	assert_non_null(packet);
	packet->len = (uint32_t)len;
	packet->next = NULL;
	len = 0;
	for (unsigned i = 0; i < count; i++) {
		memcpy(packet->bytes + len, segs[i].data, segs[i].len);
		len += segs[i].len;
	}
	*guest.last = packet;
	guest.last = &packet->next;
	program.blocked = world_chance(8) == 0;
	return !program.blocked;
}

static void on_end(void *arg)
{
	(void)arg;
	fail_msg("the host has ended the connection");
}

static const struct fuse_conn_ops ops = { .send = on_send, .end = on_end };

static void to_host(const void *data, size_t len)
{
	if (guest.to_at == guest.to_len) {
		guest.to_at = guest.to_len = 0;
	}
	if (guest.to_len + len > guest.to_space) {
		guest.to_space = 2 * (guest.to_len + len);
		guest.to = realloc(guest.to, guest.to_space);
		assert_non_null(guest.to);
	}
	memcpy(guest.to + guest.to_len, data, len);
	guest.to_len += len;
}

/* The program takes some of what was sent. */
static void feed(void)
{
	size_t len = guest.to_len - guest.to_at, used = 0;
	uint8_t *some;

	if (world_chance(4) == 0) {
		len = 1 + world_chance((unsigned)len);
	}
	some = malloc(len);
	assert_non_null(some);
	memcpy(some, guest.to + guest.to_at, len);
	assert_int_equal(fuse_conn_input(program.conn, some, len, UINT64_MAX,
					 &used), 0);
	free(some);
	guest.to_at += used;
}

/* ---- Linux ---- */

static void say(uint32_t opcode, uint64_t unique, const void *body, size_t len)
{
	struct fuse_in_header head = {
		.len = (uint32_t)(sizeof(head) + len), .opcode = opcode,
		.unique = unique,
	};

	to_host(&head, sizeof(head));
	to_host(body, len);
}

static void linux_up(void)
{
	struct fuse_channel_hello hello = {
		.version = FUSE_CHANNEL_VERSION, .session = SESSION,
		.notified = guest.notified,
	};

	program.conn = fuse_conn_new(program.server, &ops, NULL, &peer);
	assert_non_null(program.conn);
	program.blocked = false;
	say(FUSE_CHANNEL_HELLO, UINT64_MAX, &hello, sizeof(hello));
}

/* What was on its way either way is lost. */
static void linux_down(void)
{
	while (guest.first != NULL) {
		struct packet *packet = guest.first;

		guest.first = packet->next;
		free(packet);
	}
	guest.last = &guest.first;
	guest.to_at = guest.to_len = 0;
	guest.up = false;
}

static void put_forget(const struct fuse_forget_one *one)
{
	struct fuse_in_header head = {
		.len = sizeof(head) + sizeof(struct fuse_forget_in),
		.opcode = FUSE_FORGET, .unique = ++guest.unique * 2,
		.nodeid = one->nodeid,
	};
	struct fuse_forget_in in = { .nlookup = one->nlookup };

	to_host(&head, sizeof(head));
	to_host(&in, sizeof(in));
}

static void hello_answered(const struct fuse_channel_hello_out *hello)
{
	assert_int_equal(hello->version, FUSE_CHANNEL_VERSION);
	assert_int_equal(hello->flags, guest.known ? FUSE_CHANNEL_RESUMED : 0);
	guest.up = guest.known = true;
	for (unsigned i = 0; i < guest.out; i++) {
		to_host(guest.order[i]->bytes, guest.order[i]->len);
		counts.again++;
	}
	assert_true(hello->forgets <= guest.forget_count);
	for (uint64_t i = hello->forgets; i < guest.forget_count; i++) {
		put_forget(&guest.forgets[i]);
	}
}

static void answered(const struct fuse_out_header *head, const uint8_t *body)
{
	struct call *c = NULL;

	for (unsigned i = 0; i < guest.out; i++) {
		if (guest.order[i]->unique == head->unique) {
			c = guest.order[i];
			memmove(&guest.order[i], &guest.order[i + 1],
				(--guest.out - i) * sizeof(c));
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
static void deliver(void)
{
	struct packet *packet = guest.first;
	struct fuse_out_header head;
	const uint8_t *body = packet->bytes + sizeof(head);

	memcpy(&head, packet->bytes, sizeof(head));
	assert_int_equal(head.len, packet->len);
	if (head.unique == UINT64_MAX) {
		struct fuse_channel_hello_out hello;

		assert_int_equal(head.error, 0);
		memcpy(&hello, body, sizeof(hello));
		hello_answered(&hello);
	} else if (head.unique == 0) {
		struct fuse_channel_done done = { ++guest.notified };

		say(FUSE_NOTIFY_REPLY, ++guest.unique * 2 + 1, &done,
		    sizeof(done));
	} else {
		answered(&head, body);
	}
	guest.first = packet->next;
	if (guest.first == NULL) {
		guest.last = &guest.first;
	}
	free(packet);
}

struct call *world_call(uint32_t opcode, uint64_t nodeid)
{
	struct call *c = guest.calls;
	struct fuse_in_header head = { .opcode = opcode, .nodeid = nodeid };

	while (c->unique != 0) {
		c++;
		assert_true(c < guest.calls + CALLS);
	}
	c->unique = head.unique = ++guest.unique * 2;
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
	memcpy(c->bytes, &c->len, sizeof(c->len));
	guest.order[guest.out++] = c;
	if (guest.up) {
		to_host(c->bytes, c->len);
	}
	counts.requests++;
}

void world_done(struct call *c)
{
	c->unique = 0;
}

void world_forget(uint64_t nodeid, uint64_t count)
{
	struct fuse_forget_one *one = &guest.forgets[guest.forget_count++];

	assert_true(guest.forget_count < FORGETS);
	*one = (struct fuse_forget_one){ nodeid, count };
	if (guest.up) {
		put_forget(one);
	}
}

/* ---- All of it ---- */

static void tick(void)
{
	volume_disk_tick(program.vd, ++seconds);
}

/* A turn of a program that is at work. */
static void work(void)
{
	switch (world_chance(8)) {
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
		if (guest.first != NULL) {
			deliver();
		}
		break;
	case 6:
		if (program.conn != NULL && program.blocked) {
			program.blocked = false;
			program.blocked = !fuse_conn_writable(program.conn);
		}
		if (world_chance(500) == 0) {
			tick();
		}
		break;
	default:
		if (program.conn == NULL) {
			linux_up();
		} else if (guest.to_at < guest.to_len && !program.blocked &&
			   !fuse_conn_held(program.conn)) {
			feed();
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
	memset(&guest, 0, sizeof(guest));
	guest.last = &guest.first;
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

	linux_down();
	fuse_conn_free(program.conn);
	program.conn = NULL;
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
	free(guest.to);
	*to = image;
	to->place.arg = to;
}
