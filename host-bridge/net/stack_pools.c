/* SPDX-License-Identifier: MIT */
/*
 * lwIP's pools, in place of its own (memp.c), whose memory is there from the start:
 * of each kind of thing there are as many as lwipopts.h says, and memory for those
 * that have been there at once.
 */
#include "lwip/opt.h"
#include "lwip/memp.h"
#include "lwip/dns.h"
#include "lwip/etharp.h"
#include "lwip/ip4_frag.h"
#include "lwip/ip6_frag.h"
#include "lwip/mld6.h"
#include "lwip/pbuf.h"
#include "lwip/priv/nd6_priv.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/raw.h"
#include "lwip/timeouts.h"
#include "lwip/udp.h"

#include "host-bridge/net/pool.h"

static struct pool pools[MEMP_MAX];

/** Nothing is taken. */
void memp_init(void)
{
	static const struct pool empty[MEMP_MAX] = {
#define LWIP_MEMPOOL(name, num, bytes, text) \
		[MEMP_##name] = { .size = LWIP_MEM_ALIGN_SIZE(bytes), .left = num },
#include "lwip/priv/memp_std.h"
	};

	for (unsigned i = 0; i < MEMP_MAX; i++) {
		pool_end(&pools[i]);
		pools[i] = empty[i];
	}
}

/** NULL: there are no more of this kind, or there is no memory. */
void *memp_malloc(memp_t type)
{
	return pool_take(&pools[type]);
}

/** What memp_malloc() has given of this kind, or NULL. */
void memp_free(memp_t type, void *thing)
{
	if (thing) {
		pool_give(&pools[type], thing);
	}
}
