/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls as C functions. Numbers, meaning and status codes:
 * abi/hypercall.h; in prose: docs/hypercalls.md. All are made at one
 * instruction (crt0.S) that suits the processor's vendor. The hypervisor is
 * trusted: results are not checked beyond the status. Only HC_WAIT blocks.
 */
#ifndef ISTHMUS_HC_H
#define ISTHMUS_HC_H

#include <stdint.h>

#include "abi/hypercall.h"

/* Arguments 1 to 5, in the order of the ABI. */
struct hc_regs {
	uint64_t rdi;
	uint64_t rsi;
	uint64_t rdx;
	uint64_t r10;
	uint64_t r8;
};

/* One hypercall; the registers are arguments and become the results. Returns
 * HC_OK or a negative status; the registers are then what they were. "memory":
 * HC_MEM_DONATE changes what is at our addresses, and others may let a
 * partition write to a channel. */
static inline int64_t hc_call(enum hypercall nr, struct hc_regs *regs)
{
	int64_t status = nr;
	register uint64_t r10 __asm__("r10") = regs->r10;
	register uint64_t r8 __asm__("r8") = regs->r8;

	__asm__ volatile("call hc_entry"
			 : "+a"(status), "+D"(regs->rdi), "+S"(regs->rsi),
			   "+d"(regs->rdx), "+r"(r10), "+r"(r8)
			 : : "memory", "cc");
	regs->r10 = r10;
	regs->r8 = r8;
	return status;
}

/* Event bits, taken and cleared; deadline is a TSC value, 0 does not block. */
static inline uint64_t hc_wait(uint64_t deadline)
{
	struct hc_regs regs = { .rdi = deadline };

	(void)hc_call(HC_WAIT, &regs);
	return regs.rdi;
}

/* A port access of Linux that waits for its answer. */
struct hc_ioreq {
	uint64_t handle;	/* partition << 16 | vCPU */
	uint64_t word;	/* HC_IOREQ_*: port, size, direction */
	uint64_t value;	/* for an output */
};

/* HC_ENOENT: no access waits; *req is then of no use. */
static inline int64_t hc_ioreq_get(struct hc_ioreq *req)
{
	struct hc_regs regs = { 0 };
	int64_t status = hc_call(HC_IOREQ_GET, &regs);

	req->handle = regs.rdi;
	req->word = regs.rsi;
	req->value = regs.rdx;
	return status;
}

/* Answers it, and lets that vCPU go on. HC_EBUSY: it has gone meanwhile. */
static inline int64_t hc_ioreq_done(uint64_t handle, uint64_t value)
{
	struct hc_regs regs = { .rdi = handle, .rsi = value };

	return hc_call(HC_IOREQ_DONE, &regs);
}

/* Results as enum hc_query lists them; HC_ENOENT past the last. */
static inline int64_t hc_query(enum hc_query what, uint64_t index,
			       uint64_t sub, struct hc_regs *out)
{
	*out = (struct hc_regs){ .rdi = what, .rsi = index, .rdx = sub };
	return hc_call(HC_QUERY, out);
}

/* Rings the other end of the channel: an exit, so only when it asked for it. */
static inline int64_t hc_doorbell(unsigned channel)
{
	struct hc_regs regs = { .rdi = channel };

	return hc_call(HC_DOORBELL, &regs);
}

/* Sets our word in the channel's state table (CHANNEL_STATE_*). */
static inline int64_t hc_channel_state(unsigned channel, uint32_t state)
{
	struct hc_regs regs = { .rdi = channel, .rsi = state };

	return hc_call(HC_CHANNEL_STATE, &regs);
}

/* Own interrupt line, by its index in the manifest; unmask: 1 or 0. */
static inline int64_t hc_irq(unsigned line, unsigned unmask)
{
	struct hc_regs regs = { .rdi = line, .rsi = unmask };

	return hc_call(HC_IRQ, &regs);
}

/* The time of day for other partitions: UTC in ns at TSC 0. */
static inline int64_t hc_clock(int64_t zero_ns)
{
	struct hc_regs regs = { .rdi = (uint64_t)zero_ns };

	return hc_call(HC_CLOCK, &regs);
}

/* An operation on a PCI function of ours, by its address; the other registers are
 * arguments and become the results. */
static inline int64_t hc_pci(enum hc_pci what, uint64_t address,
			     struct hc_regs *regs)
{
	regs->rdi = what;
	regs->rsi = address;
	return hc_call(HC_PCI, regs);
}

#endif
