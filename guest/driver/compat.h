/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * isthmus: what differs between the kernels that the driver is built for, Linux
 * 6.1 (Debian 12) and 6.12 (Debian 13). All that depends on the version is
 * here.
 */
#ifndef ISTHMUS_COMPAT_H
#define ISTHMUS_COMPAT_H

#include <linux/string.h>
#include <linux/version.h>
#include <linux/virtio_vsock.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
/* Members of struct vsock_transport that 6.1 does not have, or has no helper
 * for. */
#define COMPAT_VSOCK_TRANSPORT						\
	.read_skb		= virtio_transport_read_skb,		\
	.notify_set_rcvlowat	= virtio_transport_notify_set_rcvlowat,	\
	.unsent_bytes		= virtio_transport_unsent_bytes,

/* Frees a packet that is in the ring, and counts its bytes as sent. */
static inline void compat_skb_sent(struct sk_buff *skb)
{
	virtio_transport_consume_skb_sent(skb, true);
}

/* Linux 6.1's memcpy() is a string instruction where these are good; now only
 * where the processor has short ones too (FSRM), and else a loop of moves: 2.7
 * instructions for the eight bytes. */
#define COMPAT_COPY_MIN	256u
static inline void compat_copy(void *to, const void *from, size_t n)
{
	size_t words = n / 8;

	if (n < COMPAT_COPY_MIN) {
		memcpy(to, from, n);
		return;
	}
	asm volatile("rep movsq"
		     : "+D"(to), "+S"(from), "+c"(words) : : "memory");
	memcpy(to, from, n % 8);
}
#define RING_COPY	compat_copy
#else
#define COMPAT_VSOCK_TRANSPORT

static inline void compat_skb_sent(struct sk_buff *skb)
{
	consume_skb(skb);
}
#endif

#endif
