/* SPDX-License-Identifier: MIT */
/*
 * Who listens, without asking again and again: programs for the kernel's BPF machine
 * at the root cgroup, which all processes are in, keep a map of sockets by their
 * cookie: TCP that has begun to listen, and UDP that was bound to a port by number (a
 * program that lets the kernel choose one is a client). They are taken out when they
 * are closed. A ring beside it only wakes; nothing is lost when it is full.
 *
 * Sockets of other network namespaces, containers', are no ports of this address, and
 * are left out. The programs go when this process does.
 * [bpf(2); Linux "Documentation/bpf/prog_cgroup_sockopt.rst", "ringbuf.rst"]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <linux/mount.h>

#include "ports.h"

#define RING	4096u		/* bytes; a page at least */
#define NETNS_COOKIE 71		/* SO_NETNS_COOKIE of <asm/socket.h> */
#define MOST	64u		/* instructions */
#define OUT	INT16_MAX	/* a jump to the end; set when that is known */
#define KEY	(-8)		/* on the stack: the cookie, the socket */
#define VALUE	(KEY - (int)sizeof(struct ports_socket))

enum { R0, R1, R2, R3, R4, R5, R6, R7, FP = 10 };

struct program {
	unsigned count;
	struct bpf_insn insn[MOST];
};

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

/* ---- Instructions ---- */

static void emit(struct program *p, uint8_t code, uint8_t dst, uint8_t src,
		 int16_t off, int32_t imm)
{
	p->insn[p->count++] = (struct bpf_insn){
		.code = code, .dst_reg = dst & 15, .src_reg = src & 15,
		.off = off, .imm = imm,
	};
}

static void move(struct program *p, uint8_t dst, uint8_t src)
{
	emit(p, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void set(struct program *p, uint8_t dst, int32_t value)
{
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, value);
}

/* 64 bits; src BPF_PSEUDO_MAP_FD: the map of that descriptor. */
static void set_long(struct program *p, uint8_t dst, uint8_t src,
		     uint64_t value)
{
	emit(p, BPF_LD | BPF_DW | BPF_IMM, dst, src, 0, (int32_t)value);
	emit(p, 0, 0, 0, 0, (int32_t)(value >> 32));
}

static void load(struct program *p, uint8_t dst, uint8_t src, size_t off)
{
	emit(p, BPF_LDX | BPF_MEM | BPF_W, dst, src, (int16_t)off, 0);
}

static void call(struct program *p, int32_t helper)
{
	emit(p, BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}

/* On, if dst has that value. */
static void want(struct program *p, uint8_t dst, int32_t value)
{
	emit(p, BPF_JMP | BPF_JNE | BPF_K, dst, 0, OUT, value);
}

static void want_other(struct program *p, uint8_t dst, int32_t value)
{
	emit(p, BPF_JMP | BPF_JEQ | BPF_K, dst, 0, OUT, value);
}

/* A word of the context, in R6, to what base points to. */
static void copy(struct program *p, uint8_t base, int off, size_t from)
{
	load(p, R1, R6, from);
	emit(p, BPF_STX | BPF_MEM | BPF_W, base, R1, (int16_t)off, 0);
}

/* The socket's cookie becomes the key. */
static void key(struct program *p)
{
	move(p, R1, R6);
	call(p, BPF_FUNC_get_socket_cookie);
	emit(p, BPF_STX | BPF_MEM | BPF_DW, FP, R0, KEY, 0);
}

/* The map in R1, the key in R2. */
static void map(struct program *p, const struct ports_bpf *b)
{
	set_long(p, R1, BPF_PSEUDO_MAP_FD, (uint32_t)b->map);
	move(p, R2, FP);
	emit(p, BPF_ALU64 | BPF_ADD | BPF_K, R2, 0, 0, KEY);
}

/* Of this process's network only. */
static void own_network(struct program *p, uint64_t network)
{
	move(p, R1, R6);
	call(p, BPF_FUNC_get_netns_cookie);
	set_long(p, R1, 0, network);
	emit(p, BPF_JMP | BPF_JNE | BPF_X, R0, R1, OUT, 0);
}

/* What is on the stack goes into the map. */
static void update(struct program *p, const struct ports_bpf *b)
{
	map(p, b);
	move(p, R3, FP);
	emit(p, BPF_ALU64 | BPF_ADD | BPF_K, R3, 0, 0, VALUE);
	set(p, R4, BPF_ANY);
	call(p, BPF_FUNC_map_update_elem);
}

static void wake(struct program *p, const struct ports_bpf *b)
{
	set_long(p, R1, BPF_PSEUDO_MAP_FD, (uint32_t)b->ring);
	move(p, R2, FP);
	emit(p, BPF_ALU64 | BPF_ADD | BPF_K, R2, 0, 0, KEY);
	set(p, R3, 8);
	set(p, R4, 0);
	call(p, BPF_FUNC_ringbuf_output);
}

/* Whatever happened, the kernel goes on. */
static void end(struct program *p)
{
	for (unsigned i = 0; i < p->count; i++) {
		if (p->insn[i].off == OUT) {
			p->insn[i].off = (int16_t)(p->count - i - 1);
		}
	}
	set(p, R0, 1);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* ---- The programs ---- */

#define AT(field)	(VALUE + (int)offsetof(struct ports_socket, field))
#define IN(field)	((int)offsetof(struct ports_socket, field))

/* TCP listens. */
static void on_listen(struct program *p, const struct ports_bpf *b,
		      uint64_t network)
{
	move(p, R6, R1);
	load(p, R2, R6, offsetof(struct bpf_sock_ops, op));
	want(p, R2, BPF_SOCK_OPS_TCP_LISTEN_CB);
	own_network(p, network);
	key(p);
	copy(p, FP, AT(port), offsetof(struct bpf_sock_ops, local_port));
	copy(p, FP, AT(family), offsetof(struct bpf_sock_ops, family));
	emit(p, BPF_ST | BPF_MEM | BPF_W, FP, 0, (int16_t)AT(proto), IPPROTO_TCP);
	copy(p, FP, AT(ip4), offsetof(struct bpf_sock_ops, local_ip4));
	for (int i = 0; i < 4; i++) {
		copy(p, FP, AT(ip6[i]),
		     offsetof(struct bpf_sock_ops, local_ip6[i]));
	}
	update(p, b);
	wake(p, b);
	end(p);
}

/* UDP is to be bound to a port by number: noted, for it may fail yet. */
static void on_bind(struct program *p, const struct ports_bpf *b,
		    uint64_t network)
{
	move(p, R6, R1);
	load(p, R2, R6, offsetof(struct bpf_sock_addr, protocol));
	want(p, R2, IPPROTO_UDP);
	load(p, R2, R6, offsetof(struct bpf_sock_addr, user_port));
	want_other(p, R2, 0);
	own_network(p, network);
	key(p);
	for (int at = VALUE; at < KEY; at += 8) {
		emit(p, BPF_ST | BPF_MEM | BPF_DW, FP, 0, (int16_t)at, 0);
	}
	update(p, b);
	end(p);
}

/* It is bound: where, goes into the map's own value. */
static void on_bound(struct program *p, const struct ports_bpf *b, bool six)
{
	move(p, R6, R1);
	load(p, R2, R6, offsetof(struct bpf_sock, protocol));
	want(p, R2, IPPROTO_UDP);
	key(p);
	map(p, b);
	call(p, BPF_FUNC_map_lookup_elem);
	want_other(p, R0, 0);
	move(p, R7, R0);
	copy(p, R7, IN(family), offsetof(struct bpf_sock, family));
	emit(p, BPF_ST | BPF_MEM | BPF_W, R7, 0, IN(proto), IPPROTO_UDP);
	if (six) {
		for (int i = 0; i < 4; i++) {
			copy(p, R7, IN(ip6[i]),
			     offsetof(struct bpf_sock, src_ip6[i]));
		}
	} else {
		copy(p, R7, IN(ip4), offsetof(struct bpf_sock, src_ip4));
	}
	copy(p, R7, IN(port), offsetof(struct bpf_sock, src_port));
	wake(p, b);
	end(p);
}

/* Closed by the last who had it. */
static void on_release(struct program *p, const struct ports_bpf *b)
{
	move(p, R6, R1);
	key(p);
	map(p, b);
	call(p, BPF_FUNC_map_delete_elem);
	want(p, R0, 0);
	wake(p, b);
	end(p);
}

/* ---- Into the kernel ---- */

/* Memory comes with the entries. */
static int make_map(uint32_t type, uint32_t key_size, uint32_t value_size,
		    uint32_t entries)
{
	union bpf_attr attr = {
		.map_type = type, .key_size = key_size,
		.value_size = value_size, .max_entries = entries,
		.map_flags = type == BPF_MAP_TYPE_HASH ? BPF_F_NO_PREALLOC : 0,
	};

	return (int)bpf(BPF_MAP_CREATE, &attr);
}

/* The root of all cgroups, wherever they are mounted, and if they are not. Who mounts
 * them says for all of them how they are: what boot.c and systemd have is kept. */
static int root_cgroup(void)
{
	static const char *const options[] = {
		"nsdelegate", "memory_recursiveprot",
	};
	int context = (int)syscall(SYS_fsopen, "cgroup2", FSOPEN_CLOEXEC);
	int mount = -1, root = -1;

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		(void)syscall(SYS_fsconfig, context, FSCONFIG_SET_FLAG,
			      options[i], NULL, 0);
	}
	if (context >= 0 && syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE,
				    NULL, NULL, 0) == 0) {
		mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
	}
	if (mount >= 0) {
		root = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(mount);
	}
	close(context);
	return root;
}

/* The link goes with this process. */
static bool attach(const struct program *p, int cgroup, uint32_t type,
		   uint32_t where)
{
	union bpf_attr attr = {
		.prog_type = type, .expected_attach_type = where,
		.insns = (uintptr_t)p->insn, .insn_cnt = p->count,
		.license = (uintptr_t)"MIT",
	};
	int program;

	if (type == BPF_PROG_TYPE_SOCK_OPS) {
		attr.expected_attach_type = 0;
	}
	program = (int)bpf(BPF_PROG_LOAD, &attr);
	if (program < 0) {
		return false;
	}
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)program;
	attr.link_create.target_fd = (uint32_t)cgroup;
	attr.link_create.attach_type = where;
	return bpf(BPF_LINK_CREATE, &attr) >= 0;
}

static bool attach_all(const struct ports_bpf *b, int cgroup, uint64_t network)
{
	struct program p[5] = { { 0 } };

	on_listen(&p[0], b, network);
	on_bind(&p[1], b, network);
	on_bound(&p[2], b, false);
	on_bound(&p[3], b, true);
	on_release(&p[4], b);
	/* Refused by a kernel without IPv6, which has nothing to tell of it. */
	(void)attach(&p[3], cgroup, BPF_PROG_TYPE_CGROUP_SOCK,
		     BPF_CGROUP_INET6_POST_BIND);
	(void)attach(&p[1], cgroup, BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
		     BPF_CGROUP_INET6_BIND);
	return attach(&p[4], cgroup, BPF_PROG_TYPE_CGROUP_SOCK,
		      BPF_CGROUP_INET_SOCK_RELEASE) &&
	       attach(&p[2], cgroup, BPF_PROG_TYPE_CGROUP_SOCK,
		      BPF_CGROUP_INET4_POST_BIND) &&
	       attach(&p[1], cgroup, BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
		      BPF_CGROUP_INET4_BIND) &&
	       attach(&p[0], cgroup, BPF_PROG_TYPE_SOCK_OPS,
		      BPF_CGROUP_SOCK_OPS);
}

static bool map_ring(struct ports_bpf *b)
{
	void *own = mmap(NULL, RING, PROT_READ | PROT_WRITE, MAP_SHARED,
			 b->ring, 0);
	const uint8_t *theirs = mmap(NULL, 3 * RING, PROT_READ, MAP_SHARED,
				     b->ring, RING);

	b->read = own;
	b->written = (const void *)theirs;
	b->data = theirs + RING;
	return own != MAP_FAILED && theirs != MAP_FAILED;
}

/**
 * Begins. Returns NULL, or what this kernel does not have, with errno.
 */
const char *ports_bpf_start(struct ports_bpf *b)
{
	int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), cgroup;
	uint64_t network = 0;
	socklen_t len = sizeof(network);
	bool done;

	if (any < 0 || getsockopt(any, SOL_SOCKET, NETNS_COOKIE, &network,
				  &len) != 0) {
		return "number of the network";
	}
	close(any);
	b->map = make_map(BPF_MAP_TYPE_HASH, 8, sizeof(struct ports_socket),
			  PORTS_SOCKETS);
	b->ring = make_map(BPF_MAP_TYPE_RINGBUF, 0, 0, RING);
	if (b->map < 0 || b->ring < 0 || !map_ring(b)) {
		return "BPF maps";
	}
	cgroup = root_cgroup();
	if (cgroup < 0) {
		return "cgroup2";
	}
	done = attach_all(b, cgroup, network);
	close(cgroup);
	return done ? NULL : "BPF programs at cgroups";
}

/**
 * Reads the ring, as far as it is written; true: sockets may be others.
 */
bool ports_bpf_changed(struct ports_bpf *b)
{
	uint64_t at = *b->read, from = at;

	while (at < __atomic_load_n(b->written, __ATOMIC_ACQUIRE)) {
		const uint32_t *head = (const uint32_t *)(const void *)
				       (b->data + at % RING);
		uint32_t len = __atomic_load_n(head, __ATOMIC_ACQUIRE);

		/* Its end wakes again. */
		if ((len & BPF_RINGBUF_BUSY_BIT) != 0) {
			break;
		}
		len &= ~BPF_RINGBUF_DISCARD_BIT;
		at += (len + BPF_RINGBUF_HDR_SZ + 7) & ~7u;
		__atomic_store_n(b->read, at, __ATOMIC_RELEASE);
	}
	return at != from;
}

/**
 * The socket after that of *cookie, or the first. False: there is none.
 */
bool ports_bpf_next(const struct ports_bpf *b, uint64_t *cookie,
		    struct ports_socket *s, bool first)
{
	union bpf_attr attr = {
		.map_fd = (uint32_t)b->map, .key = first ? 0 : (uintptr_t)cookie,
		.next_key = (uintptr_t)cookie,
	};

	if (bpf(BPF_MAP_GET_NEXT_KEY, &attr) != 0) {
		return false;
	}
	attr = (union bpf_attr){ .map_fd = (uint32_t)b->map,
				 .key = (uintptr_t)cookie,
				 .value = (uintptr_t)s };
	if (bpf(BPF_MAP_LOOKUP_ELEM, &attr) != 0) {
		*s = (struct ports_socket){ 0 };	/* closed meanwhile */
	}
	return true;
}

/** One that was there before; false: it is known. */
bool ports_bpf_add(const struct ports_bpf *b, uint64_t cookie,
		   const struct ports_socket *s)
{
	union bpf_attr attr = {
		.map_fd = (uint32_t)b->map, .key = (uintptr_t)&cookie,
		.value = (uintptr_t)s, .flags = BPF_NOEXIST,
	};

	return bpf(BPF_MAP_UPDATE_ELEM, &attr) == 0;
}

/** It is not there any more. */
void ports_bpf_remove(const struct ports_bpf *b, uint64_t cookie)
{
	union bpf_attr attr = { .map_fd = (uint32_t)b->map,
				.key = (uintptr_t)&cookie };

	bpf(BPF_MAP_DELETE_ELEM, &attr);
}
