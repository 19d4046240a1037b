/* SPDX-License-Identifier: MIT */
/*
 * The part of kernel.h that is vsock's helpers.
 */
#ifndef FAKE_KERNEL_NET_H
#define FAKE_KERNEL_NET_H

enum {
	VIRTIO_VSOCK_OP_REQUEST = 1, VIRTIO_VSOCK_OP_RESPONSE,
	VIRTIO_VSOCK_OP_RST, VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_OP_RW,
	VIRTIO_VSOCK_OP_CREDIT_UPDATE, VIRTIO_VSOCK_OP_CREDIT_REQUEST,
};

#define VIRTIO_VSOCK_TYPE_STREAM	1
#define VIRTIO_VSOCK_SKB_HEADROOM	44u
#define VIRTIO_VSOCK_DEFAULT_RX_BUF_SIZE 4096u
#define VSOCK_TRANSPORT_F_G2H		2
#define TCP_CLOSE			7

struct virtio_vsock_hdr {
	u64 src_cid, dst_cid;
	u32 src_port, dst_port, len;
	u16 type, op;
	u32 flags, buf_alloc, fwd_cnt;
} __attribute__((packed));

struct vsock_sock {
	int unused;
};

struct sock {
	int sk_state, sk_err, sk_rcvlowat;
};

/* The helpers are never called here, so that any pointer will do for them. */
#define FAKE_HELPERS(X)							\
	X(do_socket_init) X(destruct) X(release) X(connect) X(shutdown)	\
	X(dgram_bind) X(dgram_dequeue) X(dgram_enqueue) X(dgram_allow)	\
	X(stream_dequeue) X(stream_enqueue) X(stream_has_data)		\
	X(stream_has_space) X(stream_rcvhiwat) X(stream_is_active)	\
	X(stream_allow) X(seqpacket_dequeue) X(seqpacket_enqueue)	\
	X(seqpacket_has_data) X(notify_poll_in) X(notify_poll_out)	\
	X(notify_recv_init) X(notify_recv_pre_block)			\
	X(notify_recv_pre_dequeue) X(notify_recv_post_dequeue)		\
	X(notify_send_init) X(notify_send_pre_block)			\
	X(notify_send_pre_enqueue) X(notify_send_post_enqueue)		\
	X(notify_buffer_size) X(read_skb) X(notify_set_rcvlowat)	\
	X(unsent_bytes)
#define FAKE_HELPER(name)	void virtio_transport_##name(void);
#define FAKE_MEMBER(name)	void *name;
FAKE_HELPERS(FAKE_HELPER)

struct vsock_transport {
	FAKE_HELPERS(FAKE_MEMBER)
	void *module, *init;
	u32 (*get_local_cid)(void);
	bool (*seqpacket_allow)(u32 cid);
	int (*cancel_pkt)(struct vsock_sock *vsk);
};

struct virtio_transport {
	struct vsock_transport transport;
	int (*send_pkt)(struct sk_buff *skb);
};

extern struct virtio_transport *fake_transport;
int vsock_core_register(const struct vsock_transport *t, int features);
void vsock_core_unregister(const struct vsock_transport *t);
void vsock_for_each_connected_socket(const struct vsock_transport *t,
				     void (*f)(struct sock *sk));
int virtio_transport_purge_skbs(void *vsk, struct sk_buff_head *list);
void virtio_transport_recv_pkt(struct virtio_transport *t,
			       struct sk_buff *skb);
void virtio_transport_consume_skb_sent(struct sk_buff *skb, bool consume);
#define virtio_transport_deliver_tap_pkt(skb) \
	(assert(!(skb)->cb[0]), (void)((skb)->cb[0] = 1))
#define virtio_vsock_hdr(skb)	((struct virtio_vsock_hdr *)(skb)->head)
#define virtio_vsock_skb_reply(skb)		((skb)->reply)
#define sk_error_report(sk)			((void)(sk))

#endif
