/* SPDX-License-Identifier: MIT */
/*
 * counts: a BPF program counts, in a map, the datagrams
 * that come to a socket, and lets those through whose first byte is even.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <linux/filter.h>

#ifndef SO_ATTACH_BPF
#define SO_ATTACH_BPF	50
#endif
#define SENT		10
#define UDP_HEADER	8

static long bpf(int command, union bpf_attr *attr)
{
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int make_map(void)
{
	union bpf_attr a;

	memset(&a, 0, sizeof(a));
	a.map_type = BPF_MAP_TYPE_ARRAY;
	a.key_size = 4;
	a.value_size = 8;
	a.max_entries = 1;
	return (int)bpf(BPF_MAP_CREATE, &a);
}

#define INSN(op, to, from, offset, value) \
	{ .code = (op), .dst_reg = (to), .src_reg = (from), .off = (offset), \
	  .imm = (value) }

static int load(int map)
{
	const struct bpf_insn program[] = {
		/* r6 = the packet; map[0]++ */
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
		INSN(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4),
		INSN(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, map),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 1),
		INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD),
		/* nothing of it if the first byte is odd, else all of it */
		INSN(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, UDP_HEADER),
		INSN(BPF_ALU64 | BPF_AND | BPF_K, 0, 0, 0, 1),
		INSN(BPF_ALU64 | BPF_SUB | BPF_K, 0, 0, 0, 1),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	static char log[16384];
	union bpf_attr a;
	int fd;

	memset(&a, 0, sizeof(a));
	a.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	a.insns = (unsigned long)program;
	a.insn_cnt = sizeof(program) / sizeof(program[0]);
	a.license = (unsigned long)"MIT";
	a.log_buf = (unsigned long)log;
	a.log_size = sizeof(log);
	a.log_level = 1;
	fd = (int)bpf(BPF_PROG_LOAD, &a);
	if (fd < 0) {
		perror(log);
	}
	return fd;
}

int main(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t size = sizeof(at);
	unsigned long long counted = 0;
	unsigned key = 0, passed = 0;
	int s = socket(AF_INET, SOCK_DGRAM, 0), map = make_map();
	int program = load(map);
	union bpf_attr a;
	unsigned char byte;

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(s, (struct sockaddr *)&at, size) || program < 0 ||
	    getsockname(s, (struct sockaddr *)&at, &size) ||
	    connect(s, (struct sockaddr *)&at, size) ||
	    setsockopt(s, SOL_SOCKET, SO_ATTACH_BPF, &program,
		       sizeof(program))) {
		perror("counts");
		return 1;
	}
	for (byte = 0; byte < SENT; byte++) {
		send(s, &byte, 1, 0);
	}
	while (recv(s, &byte, 1, MSG_DONTWAIT) == 1) {
		passed += byte % 2 == 0 ? 1 : 1000;
	}
	memset(&a, 0, sizeof(a));
	a.map_fd = (unsigned)map;
	a.key = (unsigned long)&key;
	a.value = (unsigned long)&counted;
	bpf(BPF_MAP_LOOKUP_ELEM, &a);
	printf("counted %llu, passed %u of %d\n", counted, passed, SENT);
	return 0;
}
