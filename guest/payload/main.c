/* SPDX-License-Identifier: MIT */
/*
 * Payload: finds its order on the command line and carries it out. Prints
 * "PAYLOAD start NAME" and, if the partition lives so long, "PAYLOAD end".
 */
#include "payload.h"

/* In struct boot_params; below 4 GiB, where host-bridge puts it. */
#define BP_CMD_LINE_PTR	0x228
#define OPTION		"isthmus.test="
#define TEST_MAX	64u

void payload_main(const uint8_t *boot_params);

/* The word after OPTION, or "all". Cut off at TEST_MAX - 1 characters. A
 * partial match that fails is begun anew with the character that failed: right
 * for this OPTION, whose first letter does not come again in it. */
static void find_test(const char *cmdline, char *test)
{
	static const char option[] = OPTION;
	size_t match = 0, len = 0;

	for (; *cmdline && option[match]; cmdline++) {
		match = *cmdline == option[match] ? match + 1 :
			*cmdline == option[0];
	}
	if (option[match]) {
		cmdline = "all";
	}
	while (*cmdline && *cmdline != ' ' && len < TEST_MAX - 1) {
		test[len++] = *cmdline++;
	}
	test[len] = '\0';
}

/* Called by header.S, with interrupts off; returning puts the vCPU to sleep. */
void payload_main(const uint8_t *boot_params)
{
	uint32_t cmdline = *(const uint32_t *)(boot_params + BP_CMD_LINE_PTR);
	char test[TEST_MAX];

	find_test((const char *)(uintptr_t)cmdline, test);
	machine_init();
	print("PAYLOAD start ");
	print(test);
	print("\n");
	if (!attempt_run(test)) {
		print("PAYLOAD error unknown test\n");
	}
	print("PAYLOAD end\n");
}
