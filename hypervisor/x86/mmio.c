/* SPDX-License-Identifier: MIT */
/*
 * The LAPIC page in xAPIC mode: the one place where an instruction must be
 * looked at. Only plain 32-bit MOVs between a register and memory, the forms
 * that operating systems use for device registers, are understood: a table,
 * not a decoder. The bytes are fetched once, through the guest's own page
 * tables, into a private copy.
 *
 * The address is the one that the exit reports; what the instruction's operand
 * says is not evaluated. If another vCPU changes the bytes meanwhile, the
 * access is done with other registers of the same vCPU: the guest's own loss.
 */
#include <hv.h>
#include <mmio.h>
#include <partition.h>
#include <x86.h>

/* Fixed: vlapic_base_write() lets no guest move it. */
#define LAPIC_PAGE	0xfee00000ull

/**
 * Length of a ModRM operand with SIB and displacement, 64-bit mode; avail
 * bytes from ModRM on. 0: register operand, or too short. Pure.
 * [SDM2 "ModR/M and SIB Bytes"]
 */
static uint32_t modrm_length(const uint8_t *m, uint32_t avail)
{
	uint32_t mod = m[0] >> 6, rm = m[0] & 7, len = 1;

	if (mod == 3 || (rm == 4 && avail < 2)) {
		return 0;
	}
	if (rm == 4) {
		len = 2;
		if (mod == 0 && (m[1] & 7) == 5) {
			return 6;
		}
	} else if (mod == 0 && rm == 5) {
		return 5;
	}
	return len + (mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/**
 * Understands one MOV of 32 bits in 64-bit code: opcodes 89, 8B, A1, A3, C7 /0,
 * with REX but no other prefix. bytes: len of them, at most 15. Returns false for
 * everything else, also if the bytes end too early. Pure. [SDM2 "MOV"]
 */
bool mmio_decode(const uint8_t *bytes, uint32_t len, struct mmio_mov *out)
{
	uint32_t at = 0, rex = 0, op, n;

	if (at < len && (bytes[at] & 0xf0) == 0x40) {
		rex = bytes[at++];
	}
	if (at + 2 > len || (rex & 8)) {
		return false;	/* 64-bit operands do not fit a register */
	}
	op = bytes[at++];
	*out = (struct mmio_mov){ .write = op == 0xa3, .length = at + 8 };
	if (op == 0xa1 || op == 0xa3) {		/* EAX; the address follows */
		return out->length <= len;
	}
	if (op != 0x89 && op != 0x8b && op != 0xc7) {
		return false;
	}
	n = modrm_length(&bytes[at], len - at);
	/* C7 with another number in ModRM.reg is no MOV */
	if (!n || (op == 0xc7 && (bytes[at] >> 3 & 7))) {
		return false;
	}
	out->write = op != 0x8b;
	out->has_imm = op == 0xc7;
	out->gpr = (bytes[at] >> 3 & 7) | (rex & 4 ? 8 : 0);
	at += n;
	if (out->has_imm) {
		if (at + 4 > len) {
			return false;
		}
		__builtin_memcpy(&out->imm, &bytes[at], sizeof(out->imm));
		at += 4;
	}
	out->length = at;
	return at <= len;
}

/* A register that is not there reads 0 and ignores writes: in this mode
 * nothing is a #GP. */
static void emulate(struct vcpu *v, uint32_t reg, const struct mmio_mov *m)
{
	uint64_t *gpr = &v->regs.rax + m->gpr;
	uint32_t value = 0;

	if (m->write) {
		value = m->has_imm ? m->imm : m->gpr == 4 ?
			(uint32_t)hvm->vcpu_get(v, VCPU_RSP) : (uint32_t)*gpr;
		(void)vlapic_reg_write(v, reg, value);
		return;
	}
	/* a 32-bit MOV clears the upper half of its target */
	(void)vlapic_reg_read(v, reg, &value);
	if (m->gpr == 4) {
		hvm->vcpu_set(v, VCPU_RSP, value);
	} else {
		*gpr = value;
	}
}

/**
 * Is gpa v's LAPIC page, LAPIC enabled in xAPIC mode? Never for the host
 * partition, which has no use for one.
 */
bool mmio_is_lapic(const struct vcpu *v, gpa_t gpa)
{
	return (gpa.v & ~PAGE_MASK) == LAPIC_PAGE &&
	       (v->lapic.base & (APIC_BASE_EN | APIC_BASE_EXTD)) ==
	       APIC_BASE_EN && !partition_is_host(v->partition);
}

/**
 * A memory exit on the LAPIC page? Then it is answered and the instruction
 * done. false: not that page, or not 64-bit code, or no MOV of those above;
 * the caller ends the partition. On v's CPU, no lock held.
 */
bool mmio_lapic(struct vcpu *v, const struct vm_exit *e)
{
	uint64_t gpa = e->fault.gpa.v;
	struct mmio_mov m;
	uint8_t bytes[FETCH_MAX];
	uint32_t n;

	if (!mmio_is_lapic(v, e->fault.gpa) ||
	    !(hvm->vcpu_get(v, VCPU_CS_ATTR) & BIT64(13))) {
		return false;
	}
	guest_fetch_forget(v);	/* operands: only the true bytes will do */
	n = guest_fetch(v, e->rip, hvm->vcpu_get(v, VCPU_CR3), bytes,
			FETCH_MAX);
	if (!mmio_decode(bytes, n, &m) || (gpa & 15)) {
		return false;
	}
	emulate(v, (uint32_t)(gpa & PAGE_MASK) / 16, &m);
	hvm->vcpu_advance_rip(v, e->rip, m.length);
	return true;
}
