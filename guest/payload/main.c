/* SPDX-License-Identifier: MIT */
/*
 * Payload: finds its order on the command line and carries it out. Prints
 * "PAYLOAD start NAME" and, if the partition lives so long, "PAYLOAD end".
 */
#include "payload.h"
#include "abi/channel.h"

/* In struct boot_params; below 4 GiB, where host-bridge puts it. */
#define BP_CMD_LINE_PTR	0x228
#define OPTION		"isthmus.test="
#define TEST_MAX	64u

void payload_main(const uint8_t *boot_params);

/* What follows OPTION, or "all". A partial match that fails is begun anew with
 * the character that failed: right for this OPTION, whose first letter does not
 * come again in it. */
static const char *find_tests(const char *cmdline)
{
	static const char option[] = OPTION;
	size_t match = 0;

	for (; *cmdline && option[match]; cmdline++) {
		match = *cmdline == option[match] ? match + 1 :
			*cmdline == option[0];
	}
	return option[match] ? "all" : cmdline;
}

static bool in_name(char c)
{
	return c && c != ' ' && c != ',';
}

/* The test of this life, which begins at 0: behind the last comes the first
 * again. Cut off at TEST_MAX - 1 characters. */
static void pick_test(const char *tests, uint32_t life, char *test)
{
	const char *at = tests;
	size_t len = 0;

	while (life > 0) {
		while (in_name(*at)) {
			at++;
		}
		at = *at == ',' ? at + 1 : tests;
		life--;
	}
	while (in_name(*at) && len < TEST_MAX - 1) {
		test[len++] = *at++;
	}
	test[len] = '\0';
}

/* How often the partition has been started before. Nothing of its own outlives
 * it, but the channel's generation grows with each end of it; the host's would
 * be the machine's. */
static uint32_t life(void)
{
	const volatile uint32_t *table = (const volatile uint32_t *)
		(uintptr_t)CHANNEL_GUEST_REGION_GPA;

	return table[CHANNEL_ST_GENERATION] - 1;
}

/* Called by header.S, with interrupts off; returning puts the vCPU to sleep. */
void payload_main(const uint8_t *boot_params)
{
	uint32_t cmdline = *(const uint32_t *)(boot_params + BP_CMD_LINE_PTR);
	char test[TEST_MAX];

	machine_init();
	pick_test(find_tests((const char *)(uintptr_t)cmdline), life(), test);
	print("PAYLOAD start ");
	print(test);
	print("\n");
	if (!attempt_run(test)) {
		print("PAYLOAD error unknown test\n");
	}
	print("PAYLOAD end\n");
}
