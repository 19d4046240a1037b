/* SPDX-License-Identifier: MIT */
/*
 * The end of the system on a machine that does not power off: channel, files
 * and volume are the real ones, and go on being called.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "drivers/power.h"
#include "host-bridge/ui/commands_linux.h"
#include "host-bridge/ui/documents.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/ui/log_view.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/fs/volume_loop.h"
#include "host-bridge/files/fuse_server.h"
#include "host-bridge/files/fuse_service.h"
#include "host-bridge/dev/serial.h"
#include "host-bridge/net/lwip_port.h"
#include "host-bridge/net/stack.h"
#include "host-bridge/rt/heap.h"
#include "host-bridge/rt/hv_log.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/notice_log.h"
#include "host-bridge/ui/system.h"
#include "qemu-test/unit/volume_fixture.h"
#include "vsock_peer.h"

#define PORT	600u		/* of the driver's FUSE transport */

static struct peer peer;
static struct fixture f;
static struct fuse_server *server;
static jmp_buf end;
static int steps_left;

/* Linux does not go by itself: it is stopped, as HC_PARTITION_STOP does it, and
 * main.c's wiring ends what its mounts had. */
bool commands_linux_shutdown(const struct command_env *env, unsigned count)
{
	(void)env;
	(void)count;
	peer.table[CHANNEL_ST_STATE(1)] = CHANNEL_STATE_DOWN;
	peer.table[CHANNEL_ST_GENERATION]++;
	fuse_server_peer_gone(server, peer.vs);
	return false;
}

static struct loop_work *work;
static unsigned turns;

/* The volume is in memory here. */
int volume_loop_close(uint64_t ms)
{
	(void)ms;
	fail_msg("there is no disk");
	return EIO;
}

void volume_loop_describe(char *text, size_t size)
{
	(void)text;
	(void)size;
	fail_msg("nobody asked for a status");
}

void volume_loop_describe_cache(char *text, size_t size)
{
	(void)text;
	(void)size;
	fail_msg("nobody asked for a status");
}

size_t hv_log_read(void *arg, uint64_t *at, char *buf, size_t size)
{
	(void)arg;
	(void)at;
	(void)buf;
	(void)size;
	fail_msg("nobody asked for the log");
	return 0;
}

size_t notice_log_read(void *arg, uint64_t *at, char *buf, size_t size)
{
	return hv_log_read(arg, at, buf, size);
}

const struct lwip_port_heap *lwip_port_heap(void)
{
	fail_msg("nobody asked for a status");
	return NULL;
}

void stack_get_status(struct stack_status *status)
{
	(void)status;
	fail_msg("nobody asked for a status");
}

void loop_work_add(struct loop_work *added)
{
	work = added;
}

void loop_timer_set(struct loop_timer *timer, uint64_t delay_ms,
		    void (*fn)(struct loop_timer *timer))
{
	(void)timer;
	(void)delay_ms;
	(void)fn;
}

bool loop_busy(void)
{
	return work->due(work);
}

void loop_step(uint64_t deadline)
{
	(void)deadline;
	peer_run(&peer, 10);
	/* It takes a turn more than one thinks. */
	if (turns++ > 0) {
		(void)work->fn(work, 0);
	}
	if (steps_left-- == 0) {
		longjmp(end, 1);
	}
}

uint64_t loop_ms_to_ticks(uint64_t ms)
{
	return ms * 1000000;
}

static bool clean;

void black_box_clean(void)
{
	clean = true;
}

void power_off(void)
{
	assert_true(clean);
}

void power_reboot(void)
{
	assert_true(clean);
}

void serial_drain(void)
{
}

void notice(const char *fmt, ...)
{
	(void)fmt;
}

/* What other commands of that file use. */
void hc_entry(void);
void hc_entry(void)
{
	abort();
}

bool linux_ready(const struct guest *guest)
{
	(void)guest;
	return false;
}

bool log_view(log_view_read read, void *arg, const char *lines)
{
	(void)arg;
	(void)read;
	(void)lines;
	return false;
}

uint64_t loop_ticks_to_ms(uint64_t ticks)
{
	return ticks;
}

uint64_t loop_uptime_ms(void)
{
	return 0;
}

size_t heap_used(void)
{
	return 0;
}

size_t heap_room(void)
{
	return 0;
}

/* What is shown is not asked for here. */
void commands_fail(void)
{
}

void documents_status(const struct command_env *env)
{
	(void)env;
	fail();
}

void documents_memory(const struct command_env *env)
{
	(void)env;
	fail();
}

/* One message, whose reply is no error. */
static void talk(uint32_t opcode, const void *body, size_t len)
{
	static uint64_t unique;
	uint8_t message[200];
	struct fuse_in_header in = {
		.len = (uint32_t)(sizeof(in) + len), .opcode = opcode,
		.unique = opcode == FUSE_CHANNEL_HELLO ? UINT64_MAX
						       : (unique += 2),
		.nodeid = FUSE_ROOT_ID,
	};
	struct fuse_out_header out;
	struct ring_packet packet;

	memcpy(message, &in, sizeof(in));
	memcpy(message + sizeof(in), body, len);
	peer_send(&peer, PORT, FUSE_CHANNEL_PORT, OP_RW, 0, message, in.len);
	peer_run(&peer, 100);
	do {
		assert_int_equal(peer_take(&peer, &packet), RING_OK);
	} while (packet.op != OP_RW);
	memcpy(&out, peer.payload, sizeof(out));
	assert_int_equal(out.unique, in.unique);
	assert_int_equal(out.error, 0);
}

/* A mount with an open file that has no name any more: the volume keeps it for
 * the mount. */
static void use_files(void)
{
	struct fuse_channel_hello hello = { FUSE_CHANNEL_VERSION, 0, 1, 0 };
	struct fuse_init_in init = { .major = 7, .minor = 41 };
	struct {
		struct fuse_create_in in;
		char name[2];
	} create = { { .flags = 2, .mode = 0100644 }, "x" };

	peer_send(&peer, PORT, FUSE_CHANNEL_PORT, OP_REQUEST, 0, NULL, 0);
	talk(FUSE_CHANNEL_HELLO, &hello, sizeof(hello));
	talk(FUSE_INIT, &init, sizeof(init));
	talk(FUSE_CREATE, &create, sizeof(create.in) + 2);
	talk(FUSE_UNLINK, "x", 2);
}

static void volume_outlives_its_users(void **state)
{
	struct command_env env = { 0 };

	(void)state;
	fixture_open(&f, 8, "");
	peer_init(&peer);
	server = fuse_server_new(f.vol, NULL);
	assert_int_equal(fuse_service_run(server), 0);
	assert_non_null(fuse_service_start(peer.vs, server));
	use_files();
	env.volume = f.vol;
	env.vsock = peer.vs;
	steps_left = 5;
	if (setjmp(end) == 0) {
		system_down(&env, false);
	}
	assert_int_equal(volume_open(&f.dev, &f.vol), 0);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(volume_outlives_its_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
