/* SPDX-License-Identifier: MIT */
/*
 * Looking for a name, one at a time. lwIP cannot be told that nobody waits for an
 * answer any more, so each question has a number, by which an answer is known.
 */
#include <stdint.h>

#include "lwip/dns.h"

#include "host-bridge/net/resolve.h"
#include "host-bridge/net/stack.h"

static uintptr_t asked;
static enum resolve_state state = RESOLVE_NONE;
static ip_addr_t found;

static void on_answer(const char *name, const ip_addr_t *address, void *arg)
{
	(void)name;
	if ((uintptr_t)arg != asked) {
		return;
	}
	state = address ? RESOLVE_FOUND : RESOLVE_NONE;
	if (address) {
		found = *address;
	}
}

/** See resolve.h. */
void resolve_start(const char *name, bool six)
{
	err_t error;

	state = RESOLVE_WAITS;
	error = dns_gethostbyname_addrtype(name, &found, on_answer,
					   (void *)++asked, six ?
					   LWIP_DNS_ADDRTYPE_IPV6 :
					   LWIP_DNS_ADDRTYPE_IPV4_IPV6);
	if (error != ERR_INPROGRESS) {
		state = error == ERR_OK ? RESOLVE_FOUND : RESOLVE_NONE;
	}
	stack_left();
}

/** See resolve.h. It ends by itself: lwIP does not ask for ever. */
enum resolve_state resolve_look(ip_addr_t *address)
{
	if (state == RESOLVE_FOUND) {
		*address = found;
	}
	return state;
}
