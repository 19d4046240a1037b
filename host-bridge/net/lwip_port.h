/* SPDX-License-Identifier: MIT */
/* What lwIP stands on; memory that packets are in: see lwip_port.c. */
#ifndef ISTHMUS_LWIP_PORT_H
#define ISTHMUS_LWIP_PORT_H

#include <stddef.h>
#include <stdint.h>

/* Of all that comes and goes by the network, the NAT's tables excepted. */
#define LWIP_PORT_HEAP	(8u << 20)

struct lwip_port_heap {
	size_t used, most;		/* bytes, now and so far */
	uint64_t refused;		/* for there was no more */
};

const struct lwip_port_heap *lwip_port_heap(void);

#endif
