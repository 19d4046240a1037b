/* SPDX-License-Identifier: MIT */
/*
 * Requests to a disk. A WRITE's data go to the store as they arrive, out of the
 * ring; a READ's go into the ring from where the store has them.
 * [NBD "The NBD protocol: Transmission"]
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/nbd/nbd_int.h"
#include "host-bridge/fs/volume.h"
#include "host-bridge/rt/container.h"
#include "host-bridge/rt/tsc.h"

#define PIECES	40u		/* of one look at the store */

/** An errno value as the protocol has it. */
uint32_t nbd_error(int error)
{
	if (error == ENOTSUP) {		/* of a device; not always EOPNOTSUPP */
		return NBD_ENOTSUP;
	}
	switch (error) {
	case 0:
		return 0;
	case EROFS:
	case EPERM:
		return NBD_EPERM;
	case ENOMEM:
		return NBD_ENOMEM;
	case EINVAL:
		return NBD_EINVAL;
	case ENOSPC:
	case EFBIG:
		return NBD_ENOSPC;
	case EOPNOTSUPP:
		return NBD_ENOTSUP;
	default:
		return NBD_EIO;
	}
}

static struct nbd_answer answer_head(const struct nbd_task *task,
				     uint32_t error)
{
	return (struct nbd_answer){
		.magic = NBD_BE32(NBD_ANSWER_MAGIC),
		.error = NBD_BE32(error),
		.cookie = task->request.cookie,
	};
}

/* ---- Tasks ---- */

/* volume_wait.ready: what is due is done when it is the connection's turn. */
static void on_ready(struct volume_wait *wait)
{
	struct nbd_task *task = CONTAINER(wait, struct nbd_task, wait);

	if (task->waits && !task->conn->failed) {
		task->waits = false;
		vsock_again(task->conn->vsock);
	}
}

/* One that is free, or NULL. */
static struct nbd_task *task_free(const struct nbd_conn *conn)
{
	for (unsigned i = 0; i < NBD_TASKS; i++) {
		if (conn->tasks[i].conn == NULL) {
			return (struct nbd_task *)&conn->tasks[i];
		}
	}
	return NULL;
}

/* Nobody waits any more. */
static void task_end(struct nbd_task *task)
{
	struct volume_turns *turns = task->conn->disk->store->turns;

	if (turns != NULL) {
		turns->end(turns, &task->wait);
	}
	*task = (struct nbd_task){ 0 };
}

/** The connection is over. */
void nbd_tasks_end(struct nbd_conn *conn)
{
	for (unsigned i = 0; i < NBD_TASKS; i++) {
		if (conn->tasks[i].conn != NULL) {
			task_end(&conn->tasks[i]);
		}
	}
}

/** Whether what comes next can be taken: a request's head, or data. */
bool nbd_can_take(const struct nbd_conn *conn)
{
	if (conn->waits) {
		return false;
	}
	return conn->writing != NULL ? !conn->writing->waits
				     : task_free(conn) != NULL;
}

/* Before the store is asked for something; 0, EAGAIN, or what is wrong. */
static int turn(struct nbd_task *task, bool changes)
{
	struct volume_turns *turns = task->conn->disk->store->turns;

	if (turns == NULL) {
		return 0;
	}
	if (changes) {
		return turns->begin(turns, &task->wait);
	}
	turns->look(turns, &task->wait);
	return 0;
}

static int flush_store(struct nbd_task *task)
{
	struct nbd_store *store = task->conn->disk->store;
	int error = turn(task, false);

	if (error != 0) {
		return error;
	}
	return store->turns != NULL
	       ? store->turns->sync(store->turns, &task->wait)
	       : store->ops->flush(store);
}

/* Whether the request has to wait: what is due then. */
static bool put_off(struct nbd_task *task, int error, int due)
{
	if (task->conn->disk->store->turns == NULL || error != EAGAIN) {
		return false;
	}
	task->waits = true;
	task->due = due;
	return true;
}

static int map(struct nbd_task *task, struct volume_seg *segs,
	       unsigned *count)
{
	struct nbd_store *store = task->conn->disk->store;
	size_t done;
	int error = turn(task, false);

	return error != 0 ? error
			  : store->ops->map(store, task->offset, task->left,
					    segs, PIECES, count, &done);
}

static void answer(struct nbd_task *task, uint32_t error)
{
	struct nbd_conn *conn = task->conn;
	struct nbd_answer head = answer_head(task, error);

	conn->disk->errors += error != 0;
	if (error == 0 && nbd_lasts(&task->request)) {
		latency_add(&conn->disk->lasting, tsc_now() - task->begun);
	}
	task_end(task);
	nbd_conn_put(conn, &head, sizeof(head));
}

/* What the request is refused for, or 0. */
static uint32_t check(const struct nbd_store *store,
		      const struct nbd_request *req)
{
	unsigned known = NBD_FLAG_FUA;

	if (req->type == NBD_ZEROES) {
		known |= NBD_FLAG_NO_HOLE;
	}
	if (req->type > NBD_ZEROES || req->type == NBD_ZEROES - 1 ||
	    (req->flags & ~known) != 0) {
		return NBD_EINVAL;
	}
	if (req->type == NBD_FLUSH) {
		return 0;
	}
	if (req->offset > store->size || req->len > store->size - req->offset) {
		return req->type == NBD_WRITE || req->type == NBD_ZEROES
		       ? NBD_ENOSPC : NBD_EINVAL;
	}
	if (store->device &&
	    (req->offset | req->len) % nbd_sector(store) != 0) {
		return NBD_EINVAL;
	}
	if (req->len == 0 ||
	    (req->type == NBD_READ && req->len > NBD_DATA_MAX)) {
		return NBD_EINVAL;
	}
	return req->type != NBD_READ && store->read_only ? NBD_EPERM : 0;
}

/* ---- What they do ---- */

/* What a WRITE, TRIM or ZEROES ends with. */
static void finish(struct nbd_task *task, int error)
{
	if (error == 0 && ((task->request.flags & NBD_FLAG_FUA) != 0 ||
			   task->conn->disk->store->leaves)) {
		error = flush_store(task);
	}
	if (!put_off(task, error, FINISH_DUE)) {
		answer(task, nbd_error(error));
	}
}

/* Sends pieces of a READ's data, behind the answer's head if there is one. What
 * of that has no room waits. False: there was no room for all. */
static bool send_pieces(struct nbd_task *task, const struct nbd_answer *head,
			const struct volume_seg *segs, unsigned count)
{
	struct vsock_piece pieces[PIECES + 1] = { { 0 } };
	size_t len = 0, sent, before = head != NULL ? sizeof(*head) : 0;
	unsigned n = 0;

	if (head != NULL) {
		pieces[n++] = (struct vsock_piece){ head, sizeof(*head) };
	}
	for (unsigned i = 0; i < count; i++) {
		pieces[n++] = (struct vsock_piece){ segs[i].data, segs[i].len };
		len += segs[i].len;
	}
	sent = vsock_send_pieces(task->conn->vsock, pieces, n);
	if (sent < before) {
		nbd_conn_later(task->conn, (const uint8_t *)head + sent,
			       before - sent);
		return false;
	}
	task->offset += sent - before;
	task->left -= (uint32_t)(sent - before);
	return sent - before == len;
}

/* Goes on with the READ whose data are next to be sent. False: there is no room
 * for more now, it has to wait, or the connection has failed. */
static bool read_more(struct nbd_task *task)
{
	struct nbd_conn *conn = task->conn;
	struct volume_seg segs[PIECES];
	unsigned count;

	if (task->waits) {
		return false;
	}
	while (task->left != 0) {
		int error = map(task, segs, &count);

		if (put_off(task, error, NOTHING_DUE)) {
			return false;
		}
		if (error != 0) {
			/* That it went well is said already: this answer has no
			 * end. */
			nbd_conn_fail(conn);
			return false;
		}
		if (!send_pieces(task, NULL, segs, count)) {
			return false;
		}
	}
	conn->reading = NULL;
	task_end(task);
	return true;
}

/* The head, and what there is room for of the data. */
static void start_read(struct nbd_task *task)
{
	struct nbd_conn *conn = task->conn;
	struct volume_seg segs[PIECES];
	struct nbd_answer head;
	unsigned count;
	int error = map(task, segs, &count);

	if (put_off(task, error, CARRY_DUE)) {
		return;
	}
	if (error != 0) {
		answer(task, nbd_error(error));
		return;
	}
	head = answer_head(task, 0);
	conn->disk->reads++;
	conn->disk->read_bytes += task->left;
	conn->reading = task;
	if (send_pieces(task, &head, segs, count)) {
		(void)read_more(task);
	}
}

/* One that has no data to come, checked; nothing else is being sent. */
static void carry_out(struct nbd_task *task)
{
	const struct nbd_request *req = &task->request;
	struct nbd_conn *conn = task->conn;
	struct nbd_store *store = conn->disk->store;
	int error;

	if (store->device) {
		if (nbd_device_request(conn, task)) {
			task_end(task);
		} else {
			task->due = CARRY_DUE;
		}
		return;
	}
	switch (req->type) {
	case NBD_READ:
		start_read(task);
		return;
	case NBD_FLUSH:
		error = flush_store(task);
		break;
	default:
		error = turn(task, true);
		if (error == 0) {
			error = store->ops->zero(store, req->offset, req->len,
						 req->flags & NBD_FLAG_NO_HOLE);
		}
	}
	if (put_off(task, error, CARRY_DUE)) {
		return;
	}
	if (req->type == NBD_FLUSH) {
		conn->disk->flushes++;
		answer(task, nbd_error(error));
	} else {
		finish(task, error);
	}
}

/**
 * Goes on with the READ that is being sent, then with what waited and need not any
 * more. Whether nothing waits to be sent.
 */
bool nbd_go_on(struct nbd_conn *conn)
{
	if (conn->reading != NULL && !read_more(conn->reading)) {
		return false;
	}
	for (unsigned i = 0; i < NBD_TASKS && !conn->waits; i++) {
		struct nbd_task *task = &conn->tasks[i];
		int due = task->due;

		if (task->waits || due == NOTHING_DUE) {
			continue;
		}
		task->due = NOTHING_DUE;
		if (due == CARRY_DUE) {
			carry_out(task);
		} else {
			finish(task, 0);
		}
		if (conn->failed || conn->reading != NULL ||
		    conn->out_len != 0) {
			return false;
		}
	}
	return true;
}

/** A request's head is here, and nbd_can_take(). */
void nbd_on_request(struct nbd_conn *conn)
{
	struct nbd_task *task = task_free(conn);
	struct nbd_request *req;

	if (task == NULL) {		/* cannot be */
		nbd_conn_fail(conn);
		return;
	}
	req = &task->request;
	memcpy(req, conn->head, sizeof(*req));
	if (req->magic != NBD_BE32(NBD_REQUEST_MAGIC)) {
		nbd_conn_fail(conn);
		return;
	}
	req->flags = NBD_BE16(req->flags);
	req->type = NBD_BE16(req->type);
	req->offset = NBD_BE64(req->offset);
	req->len = NBD_BE32(req->len);
	if (req->type == NBD_DISCONNECT) {
		conn->ending = true;
		vsock_shutdown(conn->vsock, VSOCK_SHUT_SEND | VSOCK_SHUT_RCV);
		return;
	}
	/* A length that no error excuses: its data would never end. */
	if (req->type == NBD_WRITE && req->len > NBD_DATA_MAX) {
		nbd_conn_fail(conn);
		return;
	}
	task->conn = conn;
	task->wait.ready = on_ready;
	task->offset = req->offset;
	task->left = req->len;
	task->begun = nbd_lasts(req) ? tsc_now() : 0;
	task->error = check(conn->disk->store, req);
	if (req->type == NBD_WRITE && req->len != 0) {
		conn->writing = task;
		conn->state = ON_DATA;
	} else if (task->error != 0) {
		answer(task, task->error);
	} else {
		carry_out(task);
	}
}

/* Writes to the store; returns how many bytes are not needed any more: all, but
 * where it has to wait. */
static size_t write_store(struct nbd_task *task, const uint8_t *data, size_t n)
{
	struct nbd_store *store = task->conn->disk->store;
	size_t at = 0;

	while (task->error == 0 && at < n) {
		size_t done = 0;
		int error = turn(task, true);

		if (error == 0) {
			error = store->ops->write(store, task->offset + at,
						  data + at, n - at, &done);
		}
		at += done;
		/* They are given again from there. */
		if (put_off(task, error, NOTHING_DUE)) {
			return at;
		}
		task->error = nbd_error(error);
	}
	return n;
}

/**
 * Bytes of a WRITE's data; returns how many it took. Of one that fails the rest
 * is dropped, and the answer says so at its end.
 */
size_t nbd_on_data(struct nbd_conn *conn, const uint8_t *data, size_t len)
{
	struct nbd_task *task = conn->writing;
	bool device = conn->disk->store->device && task->error == 0;
	size_t n = len < task->left ? len : task->left;

	n = device ? nbd_device_data(conn, task, data, n)
		   : write_store(task, data, n);
	task->offset += n;
	task->left -= (uint32_t)n;
	if (task->left != 0) {
		return n;
	}
	conn->writing = NULL;
	conn->state = ON_REQUEST;
	if (device) {
		task_end(task);
	} else if (task->error != 0) {
		answer(task, task->error);
	} else {
		conn->disk->writes++;
		conn->disk->written_bytes += task->request.len;
		finish(task, 0);
	}
	return n;
}
