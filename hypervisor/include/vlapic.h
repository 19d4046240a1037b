/* SPDX-License-Identifier: MIT */
/* The virtual local APIC of a vCPU. [SDM3 "Advanced Programmable Interrupt
 * Controller (APIC)"] */
#ifndef ISTHMUS_VLAPIC_H
#define ISTHMUS_VLAPIC_H

#include <types.h>

struct vcpu;

struct vlapic {
	uint64_t base;		/* IA32_APIC_BASE */
	/* what is read at the registers' numbers (page offset / 16) */
	union {
		uint32_t reg[0x40];
		struct {
			uint32_t r00[2], id, version, r04[4];	/* id: vcpu.index */
			uint32_t tpr, r09[4], ldr, dfr, svr;
			uint32_t isr[8];	/* 8-byte aligned */
			uint32_t tmr[8];	/* 0: nothing is level-triggered */
			uint32_t irr[8];	/* set by any CPU, atomically */
			uint32_t esr, r29[7];
			uint64_t icr;
			uint32_t lvt[6];	/* timer, thermal, perf, LINT0,
						 * LINT1, error */
			uint32_t timer_initial, r39[5], timer_divide, r3f;
		};
	};
	uint32_t esr_pending;
	int isr_top;		/* highest bit in isr, -1: none */
	uint64_t timer_period;	/* TSC ticks of one countdown */
	uint64_t deadline;	/* host TSC of the next tick; ~0: off */
};
_Static_assert(offsetof(struct vlapic, r3f) ==
	       offsetof(struct vlapic, reg[0x3f]), "registers by number");

#define VLAPIC_OFF	(~0ull)

void vlapic_reset(struct vcpu *v, bool x2apic);
void vlapic_cut(struct vlapic *l, uint32_t id);
bool vlapic_msr_read(struct vcpu *v, uint32_t msr, uint64_t *value);
bool vlapic_msr_write(struct vcpu *v, uint32_t msr, uint64_t value);
bool vlapic_base_write(struct vcpu *v, uint64_t value);
uint64_t vlapic_deadline_read(const struct vcpu *v);
void vlapic_deadline_write(struct vcpu *v, uint64_t value);
bool vlapic_reg_read(struct vcpu *v, uint32_t reg, uint32_t *value);
bool vlapic_reg_write(struct vcpu *v, uint32_t reg, uint32_t value);
void vlapic_post(struct vcpu *v, uint8_t vector);
int vlapic_pending(const struct vcpu *v);
void vlapic_accept(struct vcpu *v, uint8_t vector);
void vlapic_timer_check(struct vcpu *v, uint64_t now);
void vlapic_set_tpr(struct vcpu *v, uint32_t tpr);
void vlapic_msi(uint64_t address, uint32_t data, struct vcpu *any);

#endif
