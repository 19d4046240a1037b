/* SPDX-License-Identifier: MIT */
/*
 * spent: where a tick is an instruction: how many there have been, and how many
 * of the ticks were idle: of the machine by the host's word, or without one Linux's own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <x86intrin.h>

#include <linux/vm_sockets.h>

#define IDLE_PORT	20
#define TICKS_PER_SECOND 1e9		/* of QEMU's */

static double of_host(void)
{
	const struct sockaddr_vm host = { .svm_family = AF_VSOCK,
					  .svm_cid = VMADDR_CID_HOST,
					  .svm_port = IDLE_PORT };
	int s = socket(AF_VSOCK, SOCK_STREAM, 0);
	char line[24] = "";
	size_t n = 0;
	ssize_t got;

	if (s < 0 ||
	    connect(s, (const struct sockaddr *)&host, sizeof(host))) {
		return -1;
	}
	while (n < sizeof(line) - 1 &&
	       (got = read(s, line + n, sizeof(line) - 1 - n)) > 0) {
		n += (size_t)got;
	}
	close(s);
	return atof(line);
}

static double of_linux(void)
{
	FILE *f = fopen("/proc/uptime", "r");
	double idle;

	if (!f || fscanf(f, "%*s %lf", &idle) != 1) {
		exit(1);
	}
	fclose(f);
	return idle * TICKS_PER_SECOND;
}

int main(void)
{
	unsigned long long ticks = __rdtsc();
	double idle = of_host();

	printf("spent %llu, idle %.0f\n", ticks, idle < 0 ? of_linux() : idle);
	return 0;
}
