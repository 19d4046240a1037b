/* SPDX-License-Identifier: MIT */
/*
 * uring FILE: writes 64 blocks of a file by one io_uring_enter(), and reads them
 * back by another. io_uring_setup(2), io_uring_enter(2).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/io_uring.h>

#define BLOCKS	64u
#define BLOCK	4096u

static unsigned char blocks[BLOCKS][BLOCK];
static struct io_uring_params rings;
static struct io_uring_sqe *entries;
static char *submit, *complete;
static int ring;

static _Atomic unsigned *word(char *base, unsigned offset)
{
	return (_Atomic unsigned *)(base + offset);
}

static void *map(size_t size, off_t what)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_POPULATE, ring, what);
}

static int set_up(void)
{
	ring = (int)syscall(SYS_io_uring_setup, BLOCKS, &rings);
	if (ring < 0) {
		perror("io_uring_setup");
		return -1;
	}
	submit = map(rings.sq_off.array + rings.sq_entries * sizeof(unsigned),
		     (off_t)IORING_OFF_SQ_RING);
	complete = map(rings.cq_off.cqes +
		       rings.cq_entries * sizeof(struct io_uring_cqe),
		       (off_t)IORING_OFF_CQ_RING);
	entries = map(rings.sq_entries * sizeof(*entries),
		      (off_t)IORING_OFF_SQES);
	return submit == MAP_FAILED || complete == MAP_FAILED ||
	       entries == MAP_FAILED ? -1 : 0;
}

/** All blocks by one call. Returns how many were done whole. */
static unsigned all_blocks(int fd, unsigned char opcode)
{
	_Atomic unsigned *tail = word(submit, rings.sq_off.tail);
	_Atomic unsigned *head = word(complete, rings.cq_off.head);
	unsigned at = *tail, mask = rings.sq_entries - 1, done = 0;

	for (unsigned i = 0; i < BLOCKS; i++, at++) {
		struct io_uring_sqe *e = &entries[at & mask];

		memset(e, 0, sizeof(*e));
		e->opcode = opcode;
		e->fd = fd;
		e->off = i * BLOCK;
		e->addr = (unsigned long)blocks[i];
		e->len = BLOCK;
		*word(submit, rings.sq_off.array +
		      (at & mask) * sizeof(unsigned)) = at & mask;
	}
	atomic_store(tail, at);
	if (syscall(SYS_io_uring_enter, ring, BLOCKS, BLOCKS,
		    IORING_ENTER_GETEVENTS, NULL, 0) != BLOCKS) {
		perror("io_uring_enter");
	}
	while (*head != *word(complete, rings.cq_off.tail)) {
		struct io_uring_cqe *c = (void *)(complete + rings.cq_off.cqes);

		done += c[*head & (rings.cq_entries - 1)].res == (int)BLOCK;
		atomic_fetch_add(head, 1);
	}
	return done;
}

int main(int argc, char **argv)
{
	unsigned same = 0, written, read;
	int fd = argc == 2 ? open(argv[1], O_RDWR | O_CREAT, 0600) : -1;

	if (fd < 0 || set_up()) {
		return 1;
	}
	for (unsigned i = 0; i < BLOCKS; i++) {
		memset(blocks[i], (int)(i + 1), BLOCK);
	}
	written = all_blocks(fd, IORING_OP_WRITE);
	memset(blocks, 0, sizeof(blocks));
	read = all_blocks(fd, IORING_OP_READ);
	for (unsigned i = 0; i < BLOCKS; i++) {
		same += blocks[i][0] == i + 1 && blocks[i][BLOCK - 1] == i + 1;
	}
	printf("written %u, read %u, the same %u\n", written, read, same);
	return 0;
}
