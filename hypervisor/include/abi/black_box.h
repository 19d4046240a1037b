/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What a run leaves in memory, where the next boot's loader finds it after a
 * reset: docs/black-box.md. The loader chooses the place and writes the head;
 * its log and then the hypervisor's follow one another in log, and each CPU
 * writes its exits. The host partition's part lies BOX_HOST_SIZE before that.
 * A writer may be cut off anywhere: what is whole is told by sums.
 */
#ifndef ISTHMUS_ABI_BLACK_BOX_H
#define ISTHMUS_ABI_BLACK_BOX_H

#include <stdint.h>

#define BOX_MAGIC	0x584f42535554534full	/* "OSTUSBOX" */
#define BOX_VERSION	1
#define BOX_TEXT	0x10000u	/* bytes of a log: a ring */
#define BOX_BLOCK	256u		/* of it have one sum */
#define BOX_EXITS	256u		/* of a CPU: a ring */
#define BOX_HOST_SIZE	0x11000ull	/* of struct box_host, in pages */

struct box_log {
	uint64_t head;			/* bytes ever written */
	uint32_t sum[BOX_TEXT / BOX_BLOCK];
	char text[BOX_TEXT];
};

/* What a CPU does. */
enum box_doing { BOX_STARTING, BOX_IDLE, BOX_GUEST, BOX_HYPERVISOR };

struct box_exit {
	uint64_t tsc, rip, detail;
	uint32_t what;	/* code | partition << 8 | vCPU << 16 */
	uint32_t sum;	/* box_exit_sum() */
};

struct box_cpu {
	uint64_t count;			/* exits ever */
	uint64_t doing;			/* enum box_doing */
	struct box_exit exit[BOX_EXITS];
};

struct black_box {
	uint64_t magic;
	uint32_t version, cpus;
	uint64_t boots;			/* since the machine was off */
	uint32_t sum, reserved;		/* of what is before */
	struct box_log log;
	struct box_cpu cpu[];
};

/* How the host partition's program has ended; 0: it runs. */
#define BOX_CLEAN	0x4e41454cu	/* it has made the machine's end */
#define BOX_CRASHED	0x48535243u

struct box_host {
	uint32_t end, reserved;
	struct box_log log;
};

/** One character; one writer at a time. */
static inline void box_put(struct box_log *l, char c)
{
	uint32_t at = (uint32_t)l->head % BOX_TEXT;
	uint32_t *sum = &l->sum[at / BOX_BLOCK];

	l->text[at] = c;
	*sum = (at % BOX_BLOCK ? *sum : (uint32_t)(l->head / BOX_TEXT)) * 31 + (uint8_t)c + 1;
	l->head++;
}

static inline uint32_t box_exit_sum(const struct box_exit *x)
{
	return (uint32_t)(x->tsc ^ x->rip ^ x->detail ^ x->what) + 1;
}

#endif
