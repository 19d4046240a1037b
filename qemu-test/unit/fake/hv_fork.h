/* SPDX-License-Identifier: MIT */
/*
 * On the machine of hv_memory.h, a template and two slots for children; the TLBs
 * of their vCPUs, with which their guests read and write.
 */
#ifndef HV_FORK_H
#define HV_FORK_H

#include "hv_memory.h"

#define UNIT(n)		(LINUX_RAM + (n) * BIG_PAGE_SIZE)
#define BLOCK(n, units)	(UNIT(n) + (units))

extern struct partition *child[2];
extern uint32_t waits;		/* vCPUs that had to leave their guest */

int fork_machine(void **state);
void template(void **state);
hv_status_t freeze(void);
struct vcpu *forked(uint32_t i);
void stop(struct partition *p);
uint64_t checksum(void);
void prepare(struct vcpu *v);
uint8_t *touch_at(struct vcpu *v, uint64_t gpa, bool write, enum hc_reason *why);
uint8_t get(struct vcpu *v, uint64_t gpa);
void put(struct vcpu *v, uint64_t gpa, uint8_t value);

#endif
