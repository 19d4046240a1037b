/* SPDX-License-Identifier: MIT */
/*
 * The end of the system on a machine that does not power off: channel, files
 * and volume are the real ones, and go on being called.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "drivers/power.h"
#include "host-bridge/ui/commands_linux.h"
#include "host-bridge/guest/linux.h"
#include "host-bridge/ui/log_view.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/files/p9_service.h"
#include "host-bridge/dev/serial.h"
#include "host-bridge/rt/notice.h"
#include "host-bridge/rt/heap.h"
#include "host-bridge/ui/system.h"
#include "qemu-test/unit/volume_fixture.h"
#include "vsock_peer.h"

#define PORT	600u		/* of the kernel's 9P transport */

static struct peer peer;
static struct fixture f;
static jmp_buf end;
static int steps_left;

/* Linux does not go by itself: it is stopped, as HC_PARTITION_STOP does it. */
bool commands_linux_shutdown(const struct command_env *env)
{
	(void)env;
	peer.table[CHANNEL_ST_STATE(1)] = CHANNEL_STATE_DOWN;
	peer.table[CHANNEL_ST_GENERATION]++;
	return false;
}

static struct loop_work *work;
static unsigned turns;

void loop_work_add(struct loop_work *added)
{
	work = added;
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

void power_off(void)
{
}

void power_reboot(void)
{
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

/* One message, whose reply is no Rlerror. */
static void talk(const uint8_t *message, uint32_t len)
{
	struct ring_packet packet;

	peer_send(&peer, PORT, VSOCK_PORT_9P, OP_RW, 0, message, len);
	peer_run(&peer, 100);
	do {
		assert_int_equal(peer_take(&peer, &packet), RING_OK);
	} while (packet.op != OP_RW);
	assert_int_equal(peer.payload[4], message[4] + 1);
}

/* Tversion, Tattach: the fid holds the volume's root. */
static void attach(void)
{
	static const uint8_t version[] = { 21, 0, 0, 0, 100, 0xff, 0xff,
		0, 0, 1, 0, 8, 0, '9', 'P', '2', '0', '0', '0', '.', 'L' };
	static const uint8_t root[] = { 23, 0, 0, 0, 104, 1, 0, 1, 0, 0, 0,
		0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0 };

	peer_send(&peer, PORT, VSOCK_PORT_9P, OP_REQUEST, 0, NULL, 0);
	talk(version, sizeof(version));
	talk(root, sizeof(root));
}

static void volume_outlives_its_users(void **state)
{
	struct command_env env = { 0 };

	(void)state;
	fixture_open(&f, 8, "");
	peer_init(&peer);
	assert_int_equal(p9_service_start(peer.vs, f.vol), 0);
	attach();
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
