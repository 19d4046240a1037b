/* SPDX-License-Identifier: MIT */
/* The hypervisor's log, of which a hypercall gives 24 bytes. */
#include <string.h>

#include "host-bridge/rt/hc.h"
#include "host-bridge/rt/hv_log.h"

#define PIECE	24u

/** See hv_log.h; arg is not looked at. Costs a hypercall for each 24 bytes. */
size_t hv_log_read(void *arg, uint64_t *at, char *buf, size_t size)
{
	size_t done = 0;
	struct hc_regs r;

	(void)arg;
	while (size - done >= PIECE) {
		r = (struct hc_regs){ .rdi = *at };
		/* Lengths are checked though the hypervisor is trusted: it
		 * costs nothing. */
		if (hc_call(HC_LOG_READ, &r) != HC_OK || r.rsi == 0 ||
		    r.rsi > PIECE) {
			break;
		}
		*at = r.rdi;
		memcpy(buf + done, (uint64_t [3]){ r.rdx, r.r10, r.r8 },
		       r.rsi);
		done += r.rsi;
	}
	return done;
}
