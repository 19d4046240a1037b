/* SPDX-License-Identifier: MIT */
/* Keyboards at an xHCI controller that the test plays. */
#include "drivers/keymap.h"
#include "fake/xhci.h"

#define TYPED	32u
#define DOWN	0x100u

static struct xhci *x;
static unsigned typed[TYPED], count;

static void on_key(unsigned key, bool down)
{
	assert_true(key > 0 && key < 0x100);
	if (count < TYPED) {
		typed[count++] = key | (down ? DOWN : 0);
	}
}

static int setup(void **state)
{
	(void)state;
	played_reset();
	cuts = 0;
	count = 0;
	x = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	chaos = false;
	free(x);
	fake_none();
	return 0;
}

/* Makes the driver; what is plugged in already has its time. */
static const char *begin(void)
{
	static int regs;
	const char *why;

	x = xhci_new(&(struct xhci_regs){ &regs, PLAYED_SIZE, fake_cut, NULL },
		     on_key, &why);
	if (x) {
		played_run(x, 3000);
	}
	return x ? NULL : why;
}

/* A report, and the keys that it makes, up to a 0. */
static void reports(struct played_device *d, const uint8_t *report,
		    const unsigned *keys)
{
	unsigned i;

	count = 0;
	assert_true(played_report(d, report, 8));
	played_run(x, 1);
	for (i = 0; keys[i]; i++) {
		assert_int_equal(typed[i], keys[i]);
	}
	assert_int_equal(count, i);
}

#define R(...)	((const uint8_t [8]){ __VA_ARGS__ })
#define K(...)	((const unsigned [9]){ __VA_ARGS__ })

static void types(struct played_device *d)
{
	reports(d, R(0, 0, 4), K(0x1e | DOWN));
	reports(d, R(2, 0, 4, 5), K(0x2a | DOWN, 0x30 | DOWN));
	reports(d, R(2, 0, 4, 5), K());
	reports(d, R(0, 0, 5), K(0x2a, 0x1e));
	reports(d, R(0, 0, 1, 1, 1, 1, 1, 1), K());	/* too many */
	reports(d, R(0, 0, 5, 4), K(0x1e | DOWN));
	reports(d, R(0), K(0x30, 0x1e));
	reports(d, R(0, 0, 0xff, 3), K());
	reports(d, R(0xff), K(0x1d | DOWN, 0x2a | DOWN, 0x38 | DOWN, 0x9d | DOWN,
			      0x36 | DOWN, 0xb8 | DOWN));
	reports(d, R(0), K(0x1d, 0x2a, 0x38, 0x9d, 0x36, 0xb8));
}

static void at_a_port(void **state)
{
	(void)state;
	for (unsigned speed = 1; speed <= 3; speed++) {
		struct played_device *d;

		teardown(NULL);
		setup(NULL);
		played.context = speed == 3 ? 64 : 32;
		d = played_plug(KEYBOARD, 2, 0, speed);
		assert_null(begin());
		assert_int_equal(xhci_keyboards(x), 1);
		assert_true(d->boot_protocol);
		types(d);
		/* rings go round */
		for (unsigned i = 0; i < 200; i++) {
			reports(d, R(0, 0, 4), K(0x1e | DOWN));
			reports(d, R(0), K(0x1e));
		}
	}
}

/* One that comes later; what it held when it goes is let go. */
static void in_and_out(void **state)
{
	struct played_device *d;

	(void)state;
	assert_null(begin());
	assert_int_equal(xhci_keyboards(x), 0);
	for (unsigned i = 0; i < 40; i++) {
		d = played_plug(KEYBOARD, 1, 0, 1);
		played_run(x, 1000);
		assert_int_equal(xhci_keyboards(x), 1);
		reports(d, R(0, 0, 4), K(0x1e | DOWN));
		played_unplug(d);
		played_run(x, 1000);
		assert_int_equal(typed[1], 0x1e);
		assert_int_equal(xhci_keyboards(x), 0);
		assert_int_equal(played.enabled, played.disabled);
		played.enabled = played.disabled = 0;
	}
}

static void at_a_hub(void **state)
{
	struct played_device *hub, *low, *high, *stick;

	(void)state;
	for (unsigned speed = 1; speed <= 3; speed += 2) {
		teardown(NULL);
		setup(NULL);
		hub = played_plug(HUB, 1, 0, speed);
		low = played_plug(KEYBOARD, 1, 3, 2);
		assert_null(begin());
		assert_int_equal(xhci_keyboards(x), 1);
		types(low);
		stick = played_plug(STICK, 1, 1, 1);
		high = played_plug(KEYBOARD, 1, 4, speed);
		played_run(x, 3000);
		assert_int_equal(xhci_keyboards(x), 2);
		assert_int_equal(stick->slot, 0);
		types(high);
		types(low);
		played_unplug(low);
		played_run(x, 3000);
		assert_int_equal(xhci_keyboards(x), 1);
		low = played_plug(KEYBOARD, 1, 3, 2);
		played_run(x, 3000);
		assert_int_equal(xhci_keyboards(x), 2);
		types(low);
		/* all of it */
		played_unplug(hub);
		played_run(x, 3000);
		assert_int_equal(xhci_keyboards(x), 0);
	}
}

/* What is none of ours, or says nothing, keeps nobody from typing. */
static void useless(void **state)
{
	struct played_device *silent, *good;

	(void)state;
	silent = played_plug(KEYBOARD, 1, 0, 1);
	silent->silent = true;
	good = played_plug(KEYBOARD, 2, 0, 3);
	assert_null(begin());
	assert_int_equal(xhci_keyboards(x), 1);
	assert_int_equal(silent->slot, 0);
	types(good);
	played_unplug(silent);
	played_run(x, 1000);
	(void)played_plug(STICK, 1, 0, 3);
	played_run(x, 3000);
	assert_int_equal(xhci_keyboards(x), 1);
	assert_int_equal(played.disabled, 2);
	types(good);
	assert_int_equal(cuts, 0);
}

/* A hub that fails takes those behind it with it; descriptors without an end. */
static void faults(void **state)
{
	struct played_device *bad, *key;

	(void)state;
	bad = played_plug(HUB, 1, 0, 3);
	key = played_plug(KEYBOARD, 1, 2, 1);
	played_plug(KEYBOARD, 2, 0, 1)->liar = true;
	assert_null(begin());
	assert_int_equal(xhci_keyboards(x), 1);
	reports(key, R(0, 0, 4), K(0x1e | DOWN));
	assert_true(played_fault(bad));
	played_run(x, 1000);
	assert_int_equal(typed[1], 0x1e);
	assert_int_equal(xhci_keyboards(x), 0);
	assert_int_equal(played.enabled, played.disabled);
}

static void broken(void **state)
{
	(void)state;
	played.doorbells_at = PLAYED_SIZE - 8;
	assert_string_equal(begin(), "its registers are not where it says");
	assert_int_equal(cuts, 1);
	played_reset();
	played.never_ready = true;
	assert_string_equal(begin(), "it does not become ready");
	assert_int_equal(cuts, 2);
	played_reset();
	played.deaf = true;
	(void)played_plug(KEYBOARD, 1, 0, 1);
	assert_null(begin());
	assert_int_equal(cuts, 3);
	assert_int_equal(xhci_keyboards(x), 0);
	xhci_interrupt(x);
}

/* A controller that says anything, in registers and in memory. */
static void anything(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		struct played_device *d;

		teardown(NULL);
		setup(NULL);
		srand(i);
		(void)played_plug(HUB, 1, 0, 3);
		d = played_plug(KEYBOARD, 2, 0, 1);
		assert_null(begin());
		if (i & 1) {
			(void)played_report(d, R(0, 0, 4), 8);
		}
		chaos = true;
		for (unsigned n = 0; n < 2000; n++) {
			(void)chaos_step();
			fake_tick();
			xhci_interrupt(x);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(at_a_port),
		TEST(in_and_out),
		TEST(at_a_hub),
		TEST(useless),
		TEST(faults),
		TEST(broken),
		TEST(anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
