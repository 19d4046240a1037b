// SPDX-License-Identifier: GPL-2.0-only
/*
 * isthmus: 9P transport, `mount -t 9p -o trans=isthmus`. Each mount is one
 * stream connection to the host's file server, made of the same packets as any
 * vsock connection but kept here: a request goes from the 9P client's buffer
 * straight into the ring, a reply from the ring straight into the request's
 * buffer, in whatever context finds it, and only then is anybody woken. Local
 * ports are below 1024, which no unprivileged process can bind: the host serves
 * files to no other.
 *
 * ch->lock covers everything here but `xattrs`. A request that is out is on its
 * connection's list, which holds a reference to it. Under the lock the 9P
 * client's own lock may be taken (p9_req_put), never the other way round.
 *
 * A Tclunk is answered here at once: the 9P client does nothing with the host's
 * answer but wait for it, and one request in four is one. It goes to the host
 * with the next request, or a little later; when its answer comes, it is known
 * by its tag and dropped. That is sound because the host answers a connection's
 * requests in their order. The exception is the Tclunk of a fid that there was
 * a Txattrcreate for: the host sets the attribute then, and the answer is
 * setxattr's result.
 *
 * Trust: the host may send anything. Sizes are checked against the request's
 * buffer, tags against the requests that are out, credit against what was sent;
 * what does not fit ends the request, or this mount's connection.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/xarray.h>
#include <net/9p/9p.h>
#include <net/9p/client.h>
#include <net/9p/transport.h>

#include "compat.h"
#include "isthmus.h"

#define P9_HOST_PORT	564
#define P9_PORT_FIRST	600
/* Ports 600 to 663. [docs/channel.md "Packets: vsock"] */
#define P9_MOUNTS	64
#define P9_HEADER	7		/* size[4] type[1] tag[2] */
#define P9_TIMEOUT	(5 * HZ)
/* The whole of a request fits in the smallest ring and in the host's credit. */
#define P9_MAXSIZE	(0x20000 + 4096)
/* Replies go to memory their requests have set aside already: no need to
 * slow the host down. */
#define P9_BUF_ALLOC	0x40000000u
/* The client takes the lowest tag that is free. */
#define P9_EARLY_TAGS	256
/* What finding a reply's request and waking its process counts as. */
#define P9_REPLY_COST	256u

/* CONNECTING: waits for RESPONSE. DEAD: no packet is sent or taken any more, but
 * a RST that is due. GONE: so is the mount. */
enum p9_state { P9_CONNECTING, P9_OPEN, P9_DEAD, P9_GONE };

struct p9_conn {
	struct p9_client *client;
	enum p9_state state;
	bool rst;	/* the host must be told the end, when there is space */
	u32 port;	/* local */
	/* Credit, as in virtio-vsock. */
	u32 tx_cnt;	/* bytes ever sent */
	u32 peer_fwd;	/* of these, consumed */
	u32 peer_alloc;	/* the host's buffer */
	u32 rx_cnt;	/* bytes ever received */
	struct list_head requests;	/* sent, no reply yet */
	/* Fids that Txattrcreate was sent for. Has a lock of its own, which is
	 * not taken under ch->lock. */
	struct xarray xattrs;
	/* By tag: requests answered here whose replies are still to come. The
	 * replies of later requests with that tag come after them. */
	u8 early[P9_EARLY_TAGS];
	/* The reply being received. */
	struct p9_req_t *req;		/* NULL: nobody wants it */
	u32 at;				/* bytes of it received */
	u32 size;
	u8 header[P9_HEADER];
};

/* By local port. A connection that is not here gets no packets. */
static struct p9_conn *conns[P9_MOUNTS];

/* One packet of the connection; payload may be NULL with len 0. All bytes
 * received count as consumed (fwd_cnt): they are where they belong. False: no
 * space, or the ring is at fault. */
static bool send_op(struct isthmus *ch, struct p9_conn *conn, u16 op,
		    const void *payload, u32 len)
{
	struct ring_packet packet = {
		.src_cid = ISTHMUS_CID_LOCAL,
		.dst_cid = ISTHMUS_CID_HOST,
		.src_port = conn->port,
		.dst_port = P9_HOST_PORT,
		.len = len,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = P9_BUF_ALLOC,
		.fwd_cnt = conn->rx_cnt,
	};

	return isthmus_tx_put(ch, &packet, payload);
}

/* Like send_op(), without payload. False: ch->wq and the thread will be told of
 * space. The second try is for space that came while we asked for it. */
static bool send_or_wait(struct isthmus *ch, struct p9_conn *conn, u16 op)
{
	return send_op(ch, conn, op, NULL, 0) ||
	       (!isthmus_tx_wait(ch, 0) && send_op(ch, conn, op, NULL, 0));
}

/* Tells the host that the connection is over. When there is no space now, the
 * thread does, by isthmus_p9_flush(): a host that is not told would keep the
 * files of the mount open, and take the next mount's REQUEST for an error. */
static void send_rst(struct isthmus *ch, struct p9_conn *conn)
{
	conn->rst = !send_or_wait(ch, conn, VIRTIO_VSOCK_OP_RST);
}

/* Ends one request that is on the list. req may be gone afterwards. */
static void finish(struct p9_conn *conn, struct p9_req_t *req, int error)
{
	list_del_init(&req->req_list);
	if (error) {
		req->t_err = error;
	}
	/* Gives the list's reference back. */
	p9_client_cb(conn->client, req,
		     error ? REQ_STATUS_ERROR : REQ_STATUS_RCVD);
}

/* The connection's end: nothing comes or goes any more, all requests fail,
 * who waits to send is woken and sees it. It stays in conns[] until the
 * mount goes. */
static void kill(struct isthmus *ch, struct p9_conn *conn)
{
	struct p9_req_t *req, *next;

	conn->state = P9_DEAD;
	conn->req = NULL;
	list_for_each_entry_safe(req, next, &conn->requests, req_list) {
		finish(conn, req, -ECONNRESET);
	}
	wake_up(&ch->wq);
}

/* The 7 bytes of a reply's header are here: finds its request. False: not 9P. A
 * tag that nobody waits for is no fault: its request may have been cancelled;
 * the reply's bytes are then counted and dropped. */
static bool reply_begin(struct p9_conn *conn)
{
	struct p9_req_t *req;
	u16 tag = conn->header[5] | conn->header[6] << 8;

	conn->size = conn->header[0] | conn->header[1] << 8 |
		     conn->header[2] << 16 | (u32)conn->header[3] << 24;
	if (conn->size < P9_HEADER) {
		return false;
	}
	conn->req = NULL;
	if (tag < P9_EARLY_TAGS && conn->early[tag] > 0) {
		conn->early[tag]--;
		return true;
	}
	req = p9_tag_lookup(conn->client, tag);
	if (!req) {
		return true;
	}
	/* The tag of a request not sent yet, or answered already, has no
	 * list. */
	if (!list_empty(&req->req_list)) {
		if (conn->size > req->rc.capacity) {
			/* Longer than what the client made room for. */
			finish(conn, req, -EIO);
		} else {
			memcpy(req->rc.sdata, conn->header, P9_HEADER);
			conn->req = req;
		}
	}
	/* While it is on the list it stays. */
	p9_req_put(conn->client, req);
	return true;
}

/* len bytes of the stream are in the current packet. False: not 9P. Packets and
 * replies need not begin together: conn->at and header carry over. */
static bool receive(struct isthmus *ch, struct p9_conn *conn, u32 len)
{
	u32 offset = 0;

	while (offset < len) {
		u32 end = conn->at < P9_HEADER ? P9_HEADER : conn->size;
		u32 n = min(len - offset, end - conn->at);

		if (conn->at < P9_HEADER) {
			ring_rx_copy(&ch->ring, offset,
				     conn->header + conn->at, n);
		} else if (conn->req) {
			ring_rx_copy(&ch->ring, offset,
				     conn->req->rc.sdata + conn->at, n);
		}
		offset += n;
		conn->at += n;
		if (conn->at == P9_HEADER && !reply_begin(conn)) {
			return false;
		}
		if (conn->at >= P9_HEADER && conn->at == conn->size) {
			struct p9_req_t *req = conn->req;

			conn->req = NULL;
			conn->at = 0;
			isthmus_rx_charge(ch, P9_REPLY_COST);
			if (req) {
				req->rc.size = conn->size;
				finish(conn, req, 0);
			}
		}
	}
	return true;
}

/* One packet for the connection, in any state of it. */
static void input(struct isthmus *ch, struct p9_conn *conn,
		  const struct ring_packet *packet)
{
	/* A credit claim that cannot be true ends the connection. */
	bool ok = packet->fwd_cnt - conn->peer_fwd <=
		  conn->tx_cnt - conn->peer_fwd;

	if (conn->state >= P9_DEAD) {
		return;
	}
	conn->peer_fwd = packet->fwd_cnt;
	conn->peer_alloc = packet->buf_alloc;
	switch (packet->op) {
	case VIRTIO_VSOCK_OP_RW:
		/* Not checked against our buf_alloc: nothing is buffered, a
		 * host that sends more than it may gains nothing. */
		conn->rx_cnt += packet->len;
		ok = ok && conn->state == P9_OPEN &&
		     receive(ch, conn, packet->len);
		break;
	case VIRTIO_VSOCK_OP_RESPONSE:
		ok = ok && conn->state == P9_CONNECTING;
		conn->state = P9_OPEN;
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		/* Every request tells the host our count. */
		break;
	case VIRTIO_VSOCK_OP_RST:
		kill(ch, conn);
		return;
	default:	/* SHUTDOWN: a file server that stops serving */
		ok = false;
	}
	if (!ok) {
		send_rst(ch, conn);
		kill(ch, conn);
	} else if (wq_has_sleeper(&ch->wq)) {
		wake_up(&ch->wq);
	}
}

/**
 * Deals with a packet if it is for a mount (lock held, any context). False: it
 * is for a socket; so is one of another type, or from another port of the
 * host's.
 */
bool isthmus_p9_input(struct isthmus *ch, const struct ring_packet *packet)
{
	u32 index = packet->dst_port - P9_PORT_FIRST;

	if (index >= P9_MOUNTS || !conns[index] ||
	    packet->src_port != P9_HOST_PORT ||
	    packet->type != VIRTIO_VSOCK_TYPE_STREAM) {
		return false;
	}
	input(ch, conns[index], packet);
	return true;
}

/* The RST is out, or nobody is there to tell: nothing keeps a connection whose
 * mount is gone. */
static void rst_done(struct p9_conn *conn)
{
	conn->rst = false;
	if (conn->state == P9_GONE) {
		conns[conn->port - P9_PORT_FIRST] = NULL;
		kfree(conn);
	}
}

/**
 * There may be space (lock held, ch->up): tells the host which connections are
 * over, where it could not be told at once.
 */
void isthmus_p9_flush(struct isthmus *ch)
{
	int i;

	for (i = 0; i < P9_MOUNTS; i++) {
		if (conns[i] && conns[i]->rst) {
			send_rst(ch, conns[i]);
			if (!conns[i]->rst) {
				rst_done(conns[i]);
			}
		}
	}
}

/**
 * The channel went down (lock held): every mount's requests fail, and all later
 * ones. A mount does not come back; it must be mounted again.
 */
void isthmus_p9_reset(struct isthmus *ch)
{
	int i;

	for (i = 0; i < P9_MOUNTS; i++) {
		if (!conns[i]) {
			continue;
		}
		if (conns[i]->state != P9_GONE) {
			kill(ch, conns[i]);
		}
		rst_done(conns[i]);
	}
}

/* Writes the request as one or two packets. False: no credit or no space for
 * the whole of it now; nothing was written then. The whole or nothing, so that
 * requests of several processes do not mix in the stream. */
static bool send_request(struct isthmus *ch, struct p9_conn *conn,
			 const struct p9_req_t *req)
{
	u32 size = req->tc.size;
	u32 packets = DIV_ROUND_UP(size, RING_PAYLOAD_MAX);
	/* With all headers and padding: ring_tx_begin() adds one more
	 * header. */
	u32 whole = size + packets * (RING_PACKET_HEADER + RING_ALIGN);
	u32 done, n;

	if (size > conn->peer_alloc - (conn->tx_cnt - conn->peer_fwd)) {
		return false;
	}
	/* Socket packets that wait for space go first: else requests could keep
	 * them waiting for ever. */
	if (!skb_queue_empty(&ch->tx_queue) ||
	    (ring_tx_begin(&ch->ring, whole) != RING_OK &&
	     isthmus_tx_wait(ch, whole))) {
		return false;
	}
	for (done = 0; done < size; done += n) {
		n = min(size - done, RING_PAYLOAD_MAX);
		send_op(ch, conn, VIRTIO_VSOCK_OP_RW, req->tc.sdata + done, n);
	}
	conn->tx_cnt += size;
	return true;
}

/* Keeps `xattrs`, before the request is sent. True: a Tclunk whose answer is of
 * no interest. May sleep; does not fail, since the client would take that for
 * the end of the connection. */
static bool wants_no_answer(struct p9_conn *conn, const struct p9_req_t *req)
{
	const u8 *fid = req->tc.sdata + P9_HEADER;

	if (req->tc.id == P9_TXATTRCREATE) {
		xa_store(&conn->xattrs, get_unaligned_le32(fid),
			 xa_mk_value(1), GFP_NOFS | __GFP_NOFAIL);
	}
	/* Both end the fid, and free its number for another. */
	if ((req->tc.id == P9_TCLUNK || req->tc.id == P9_TREMOVE) &&
	    !xa_empty(&conn->xattrs) &&
	    xa_erase(&conn->xattrs, get_unaligned_le32(fid))) {
		return false;
	}
	return req->tc.id == P9_TCLUNK;
}

/* May this Tclunk, which was just written, be answered here and now? Then it is:
 * with the Rclunk that the host will send. */
static bool answer_early(struct p9_conn *conn, struct p9_req_t *req)
{
	u16 tag = req->tc.tag;

	if (tag >= P9_EARLY_TAGS || conn->early[tag] == U8_MAX ||
	    req->rc.capacity < P9_HEADER) {
		return false;
	}
	conn->early[tag]++;
	put_unaligned_le32(P9_HEADER, req->rc.sdata);
	req->rc.sdata[4] = P9_RCLUNK;
	put_unaligned_le16(tag, req->rc.sdata + 5);
	req->rc.size = P9_HEADER;
	/* Gives the transport's reference back. */
	p9_client_cb(conn->client, req, REQ_STATUS_RCVD);
	return true;
}

/* The client's "send this": 0 when it is out, whose reply then comes through
 * p9_client_cb(). -ECONNRESET: the connection is gone. -ERESTARTSYS: killed
 * while it waited for credit or space; it was not sent. Process context. */
static int p9_request(struct p9_client *client, struct p9_req_t *req)
{
	struct isthmus *ch = &isthmus_channel;
	struct p9_conn *conn = client->trans;
	DEFINE_WAIT(wait);
	unsigned long flags;
	bool early = wants_no_answer(conn, req);
	int err = 0;

	for (;;) {
		spin_lock_irqsave(&ch->lock, flags);
		if (conn->state != P9_OPEN) {
			err = -ECONNRESET;
			break;
		}
		/* Before the host can answer. */
		WRITE_ONCE(req->status, REQ_STATUS_SENT);
		if (send_request(ch, conn, req)) {
			if (early && answer_early(conn, req)) {
				isthmus_tx_later(ch, flags);
				return 0;
			}
			list_add_tail(&req->req_list, &conn->requests);
			isthmus_tx_done(ch, flags);
			return 0;
		}
		if (fatal_signal_pending(current)) {
			err = -ERESTARTSYS;
			break;
		}
		/* Under the lock: what is waited for can change only after
		 * this, when a wake-up already finds us. */
		prepare_to_wait(&ch->wq, &wait, TASK_KILLABLE);
		spin_unlock_irqrestore(&ch->lock, flags);
		schedule();
		finish_wait(&ch->wq, &wait);
	}
	spin_unlock_irqrestore(&ch->lock, flags);
	return err;
}

/* It is out already: Tflush must follow. */
static int p9_cancel(struct p9_client *client, struct p9_req_t *req)
{
	return 1;
}

/* Tflush was answered first: no reply will come. If one comes all the same its
 * tag is nobody's. The list's reference is given back, once. */
static int p9_cancelled(struct p9_client *client, struct p9_req_t *req)
{
	struct isthmus *ch = &isthmus_channel;
	struct p9_conn *conn = client->trans;
	unsigned long flags;
	bool listed;

	spin_lock_irqsave(&ch->lock, flags);
	listed = !list_empty(&req->req_list);
	list_del_init(&req->req_list);
	if (conn->req == req) {
		conn->req = NULL;
	}
	spin_unlock_irqrestore(&ch->lock, flags);
	if (listed) {
		p9_req_put(client, req);
	}
	return 0;
}

/* Takes a free port and asks the host for the connection. -EMFILE: all mounts
 * are in use. -ENODEV: there is no device. -EAGAIN: the channel is down, or has
 * no space now; ch->wq tells when to try again. */
static int connect(struct isthmus *ch, struct p9_conn *conn)
{
	unsigned long flags;
	int i, err;

	spin_lock_irqsave(&ch->lock, flags);
	for (i = 0; i < P9_MOUNTS && conns[i]; i++) {
	}
	conn->port = P9_PORT_FIRST + i;
	if (i == P9_MOUNTS) {
		err = -EMFILE;
	} else if (!READ_ONCE(ch->bound)) {
		err = -ENODEV;
	} else if (!ch->up || !skb_queue_empty(&ch->tx_queue) ||
		   !send_or_wait(ch, conn, VIRTIO_VSOCK_OP_REQUEST)) {
		err = -EAGAIN;
	} else {
		conns[i] = conn;
		isthmus_tx_done(ch, flags);
		return 0;
	}
	spin_unlock_irqrestore(&ch->lock, flags);
	return err;
}

/* The mount's end: tells the host, and frees the port and conn, at once or as
 * soon as the host is told. conn is not the caller's any more. */
static void disconnect(struct isthmus *ch, struct p9_conn *conn)
{
	unsigned long flags;

	xa_destroy(&conn->xattrs);
	spin_lock_irqsave(&ch->lock, flags);
	if (ch->up && conn->state < P9_DEAD) {
		send_rst(ch, conn);
	}
	kill(ch, conn);
	conn->state = P9_GONE;
	if (!conn->rst) {
		rst_done(conn);
	}
	if (ch->up) {
		isthmus_tx_done(ch, flags);
	} else {
		spin_unlock_irqrestore(&ch->lock, flags);
	}
}

static void p9_close(struct p9_client *client)
{
	struct p9_conn *conn = client->trans;

	if (conn) {
		client->trans = NULL;
		disconnect(&isthmus_channel, conn);
	}
}

/* A new mount; addr (the mount's source) is not used, there is one host. Waits
 * for the channel and for the host's RESPONSE, at most 5 s in all. Fails with
 * -ENODEV (no device), -ENOTCONN (channel down, or full), -EMFILE, -ETIMEDOUT,
 * -ECONNREFUSED (no file server); a killed mount with whatever its wait makes
 * of it. May sleep. */
static int p9_create(struct p9_client *client, const char *addr, char *args)
{
	struct isthmus *ch = &isthmus_channel;
	struct p9_conn *conn;
	long left;
	int err;

	conn = kzalloc(sizeof(*conn), GFP_KERNEL);
	if (!conn) {
		return -ENOMEM;
	}
	conn->client = client;
	conn->state = P9_CONNECTING;
	INIT_LIST_HEAD(&conn->requests);
	xa_init(&conn->xattrs);

	left = wait_event_killable_timeout(ch->wq, (err = connect(ch, conn)) !=
					   -EAGAIN, P9_TIMEOUT);
	if (err) {
		kfree(conn);
		return err != -EAGAIN ? err : left < 0 ? (int)left : -ENOTCONN;
	}
	left = wait_event_killable_timeout(ch->wq, READ_ONCE(conn->state) !=
					   P9_CONNECTING, left);
	if (left <= 0 || READ_ONCE(conn->state) != P9_OPEN) {
		disconnect(ch, conn);
		return left == 0 ? -ETIMEDOUT : left < 0 ? (int)left :
		       -ECONNREFUSED;
	}
	client->trans = conn;
	client->status = Connected;
	return 0;
}

/* .def = 0: only a mount that names it gets it. */
static struct p9_trans_module p9_transport = {
	.name = "isthmus",
	.maxsize = P9_MAXSIZE,
	.def = 0,
	.owner = THIS_MODULE,
	.create = p9_create,
	.close = p9_close,
	.request = p9_request,
	.cancel = p9_cancel,
	.cancelled = p9_cancelled,
};
MODULE_ALIAS_9P("isthmus");

/** Offers "trans=isthmus" to mounts. Module load. */
void isthmus_p9_register(void)
{
	v9fs_register_trans(&p9_transport);
}

/** Module removal: a mount holds the module (owner), so there is none. */
void isthmus_p9_unregister(void)
{
	v9fs_unregister_trans(&p9_transport);
}
