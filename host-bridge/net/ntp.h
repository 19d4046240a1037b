/* SPDX-License-Identifier: MIT */
/* The time of day from the network: see ntp.c. */
#ifndef ISTHMUS_NTP_H
#define ISTHMUS_NTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Asks servers for the time, now and from time to time: words of the manifest,
 * names or addresses; without any, those that DHCP names. on_set is called when the
 * clock has been set, or goes faster or slower from now on. */
void ntp_start(const char *servers, void (*on_set)(void));

/* They are asked now, if at all. */
void ntp_ask(void);
/* A packet from the network, its IP header whole, on its way to lwIP. */
void ntp_look(const uint8_t *ip, size_t len);

struct ntp_status {
	uint64_t answers;		/* that the clock was set by */
	uint64_t refused;		/* that could not be the time */
	int64_t offset_ns;		/* what the last one found */
};

void ntp_get_status(struct ntp_status *status);

#endif
