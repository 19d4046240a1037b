/* SPDX-License-Identifier: MIT */
/*
 * HC_PCI: what the host partition may do with the PCI functions that boot_info
 * gives it. Its memory and ports it has without us; configuration space it sees
 * through here only. What could undo isolation is done here, not by the partition:
 * BARs stay as the firmware has set them, a function becomes bus master when asked
 * for by name, and interrupts are messages that this file writes, to the lines of
 * the partition.
 *
 * boot_info is trusted: boot/ has checked which BARs and tables overlap nothing,
 * and that the way up by parents ends. What a function answers is not. All by the
 * host partition's one vCPU, on CPU 0, where its messages go: no lock.
 */
#include <abi/hypercall.h>
#include <hv.h>
#include <iommu.h>
#include <partition.h>
#include <pci.h>
#include <percpu.h>
#include <x86.h>

/* [PCI 3.0 "Configuration Space Header"]; the upper half is the status, whose bits
 * are cleared by ones: zeros leave it. */
#define REG_COMMAND		0x04u
#define COMMAND_IO		BIT32(0)
#define COMMAND_MEMORY		BIT32(1)
#define COMMAND_MASTER		BIT32(2)
#define COMMAND_NO_INTX		BIT32(10)
#define REG_BAR			0x10u

/* [PCI 3.0 "MSI Capability Structure", "MSI-X Capability and Table Structures"];
 * the control word is the upper half of the first register */
#define MSI_ENABLE		BIT32(16)
#define MSI_COUNT		(7u << 20)
#define MSI_64			BIT32(23)
#define MSI_MASKS		BIT32(24)
#define MSIX_ENABLE		BIT32(31)
#define MSIX_MASK_ALL		BIT32(30)
#define MSIX_ENTRY		16u
#define MSIX_MASKED		BIT32(0)

/* [PCIe "Device Capabilities Register", "Device Control Register"] */
#define EXPRESS_CAPS		4u
#define EXPRESS_CAPS_RESET	BIT32(28)
#define EXPRESS_CONTROL		8u
#define EXPRESS_CONTROL_RESET	BIT32(15)

/* Bits of configuration space that the owner of a function may change: those of a
 * register, for a class; what is not here he may not. */
static const struct {
	uint32_t class_mask, class;
	uint32_t reg, bits;
} writable[] = {
	{ 0, 0, REG_COMMAND, COMMAND_NO_INTX },
	/* timing of IDE controllers [PIIX3 "IDETIM", ICH "SDMA_TIM"] */
	{ 0xffff0000, 0x01010000, 0x40, ~0u },
	{ 0xffff0000, 0x01010000, 0x44, ~0u },
	{ 0xffff0000, 0x01010000, 0x48, ~0u },
};

static struct pci_state {
	bool master;
	bool messages;		/* MSI-X is on, its table in order */
	bool given;		/* the IOMMU knows it as the caller's */
	uint32_t lines;		/* bits: MSI lines that it raises */
	uint64_t reset_until;	/* host TSC; 0: none goes on */
} states[BOOT_MAX_PCI];

/* The caller's function at the address; NULL: it is none of its. */
static const struct boot_pci *find(uint64_t address)
{
	for (uint32_t i = 0; i < boot.pci_count; i++) {
		const struct boot_pci *f = &boot.pci[i];

		if (f->address == address && (f->flags & BOOT_PCI_OWNED)) {
			return f;
		}
	}
	return NULL;
}

static struct pci_state *state_of(const struct boot_pci *f)
{
	return &states[f - boot.pci];
}

static void command_change(const struct boot_pci *f, uint32_t clear,
			   uint32_t set)
{
	uint32_t c = pci_config_read(f->address, REG_COMMAND) & 0xffff;

	pci_config_write(f->address, REG_COMMAND, (c & ~clear) | set);
}

/* Turns something on, in the bridges above first. */
static void command_set(const struct boot_pci *f, uint32_t bits)
{
	uint32_t up = f->parent;

	for (; up != BOOT_PCI_ROOT; up = boot.pci[up].parent) {
		command_change(&boot.pci[up], 0, bits);
	}
	command_change(f, 0, bits);
}

/* Messages that a function can send. */
static uint32_t messages(const struct boot_pci *f)
{
	return f->msix ? f->msix_count : f->msi ? 1 : 0;
}

static hv_status_t pci_function(struct guest_regs *r)
{
	uint64_t index = r->rsi;

	for (uint32_t i = 0; i < boot.pci_count; i++) {
		const struct boot_pci *f = &boot.pci[i];

		if (!(f->flags & BOOT_PCI_OWNED) || index-- > 0) {
			continue;
		}
		return guest_give(r, f->address,
				  (uint64_t)f->class << 32 | f->id, messages(f),
				  (uint64_t)f->irq[1] << 8 | f->irq[0], r->r8);
	}
	return HC_ENOENT;
}

static hv_status_t pci_dma(struct guest_regs *r)
{
	/* with an IOMMU, functions have the caller's addresses */
	bool mapped = iommu_state() != HC_IOMMU_NONE;

	if (!boot.dma.size) {
		return HC_ENOENT;
	}
	return guest_give(r, boot.dma.gpa, boot.dma.size,
			  mapped ? boot.dma.gpa : boot.dma.hpa, mapped, r->r8);
}

/* Bytes of one register, which offset and size, the caller's, lie in? */
static bool access_ok(const struct boot_pci *f, uint64_t offset, uint64_t size)
{
	return (size == 1 || size == 2 || size == 4) && !(offset & (size - 1)) &&
	       offset < pci_config_size(f->address);
}

static hv_status_t pci_read(const struct boot_pci *f, struct guest_regs *r)
{
	uint32_t shift = (r->rdx & 3) * 8, v;

	if (!access_ok(f, r->rdx, r->r10)) {
		return HC_EINVAL;
	}
	v = pci_config_read(f->address, (uint32_t)r->rdx & ~3u) >> shift;
	r->rdi = v & (BIT64(8 * r->r10) - 1);
	return HC_OK;
}

static hv_status_t pci_write(const struct boot_pci *f, const struct guest_regs *r)
{
	uint32_t reg = (uint32_t)r->rdx & ~3u, shift = (r->rdx & 3) * 8;
	uint32_t i, old, bits = 0;

	if (!access_ok(f, r->rdx, r->r10)) {
		return HC_EINVAL;
	}
	for (i = 0; i < ARRAY_SIZE(writable); i++) {
		if (writable[i].reg == reg && r->rdx - reg < 4 &&
		    (f->class & writable[i].class_mask) == writable[i].class) {
			bits |= writable[i].bits;
		}
	}
	bits &= (uint32_t)((BIT64(8 * r->r10) - 1) << shift);
	if (!bits) {
		return HC_EPERM;
	}
	old = pci_config_read(f->address, reg);
	if (reg == REG_COMMAND) {
		old &= 0xffff;
	}
	pci_config_write(f->address, reg, (old & ~bits) |
			 ((uint32_t)r->r8 << shift & bits));
	return HC_OK;
}

static hv_status_t pci_bar(const struct boot_pci *f, struct guest_regs *r)
{
	const struct boot_pci_bar *b;

	if (r->rdx >= BOOT_PCI_BARS) {
		return HC_EINVAL;
	}
	b = &f->bar[r->rdx];
	if (!b->size) {
		return HC_ENOENT;
	}
	command_set(f, b->flags & BOOT_BAR_IO ? COMMAND_IO : COMMAND_MEMORY);
	return guest_give(r, b->flags, b->flags & BOOT_BAR_IO ? b->base : b->gpa,
			  b->size, r->r10, r->r8);
}

static void table_write(const struct boot_pci *f, uint32_t entry, uint32_t word,
			uint32_t value)
{
	*(volatile uint32_t *)paging_window(f->msix_table +
		(uint64_t)entry * MSIX_ENTRY + word * 4) = value;
}

/* One entry of an MSI-X table; address 0: it is masked. Before the first one all are:
 * nobody knows what they hold. */
static void msix_set(const struct boot_pci *f, uint32_t entry, uint32_t address,
		     uint32_t data)
{
	uint32_t head = pci_config_read(f->address, f->msix), i;

	/* the table is in memory of the function's */
	command_set(f, COMMAND_MEMORY);
	if (!state_of(f)->messages) {
		pci_config_write(f->address, f->msix,
				 head | MSIX_ENABLE | MSIX_MASK_ALL);
		for (i = 0; i < f->msix_count; i++) {
			table_write(f, i, 3, MSIX_MASKED);
		}
		state_of(f)->messages = true;
	}
	table_write(f, entry, 3, MSIX_MASKED);
	table_write(f, entry, 0, address);
	table_write(f, entry, 1, 0);
	table_write(f, entry, 2, data);
	table_write(f, entry, 3, address ? 0 : MSIX_MASKED);
	pci_config_write(f->address, f->msix,
			 (head | MSIX_ENABLE) & ~MSIX_MASK_ALL);
}

/* The one message of MSI; address 0: none. */
static void msi_set(const struct boot_pci *f, uint32_t address, uint32_t data)
{
	uint32_t head = pci_config_read(f->address, f->msi);
	uint32_t at = f->msi + 4;

	head &= ~(MSI_ENABLE | MSI_COUNT);
	pci_config_write(f->address, f->msi, head);
	if (!address) {
		return;
	}
	pci_config_write(f->address, at, address);
	if (head & MSI_64) {
		at += 4;
		pci_config_write(f->address, at, 0);
	}
	pci_config_write(f->address, at + 4, data);
	if (head & MSI_MASKS) {
		pci_config_write(f->address, at + 8, 0);
	}
	pci_config_write(f->address, f->msi, head | MSI_ENABLE);
}

/* The function reaches the DMA pool, and may send what it could before it was taken
 * back; as bus master, that is. */
static hv_status_t give(const struct boot_pci *f)
{
	const struct iommu_pool pool = {
		HPA(boot.dma.hpa), GPA(boot.dma.gpa), boot.dma.size };
	struct pci_state *s = state_of(f);
	hv_status_t st = HC_OK;
	uint64_t address;
	uint32_t i, data;

	if (!s->given) {
		st = iommu_attach(partition_host(), f->address, &pool);
		s->given = !st;
		for (i = 0; !st && i < HC_LINES - HC_LINE_MSI; i++) {
			if (s->lines & BIT32(i)) {
				st = iommu_msi(f->address,
					       (uint8_t)(VECTOR_MSI_BASE + i),
					       &address, &data);
			}
		}
	}
	return st;
}

/* It reaches nothing when this is HC_OK. */
static hv_status_t take(const struct boot_pci *f)
{
	struct pci_state *s = state_of(f);
	hv_status_t st = s->given ? iommu_detach(f->address) : HC_OK;

	s->given = s->given && st;
	return st;
}

static hv_status_t pci_msi(const struct boot_pci *f, const struct guest_regs *r)
{
	bool off = r->r10 == HC_PCI_NO_LINE;
	uint64_t address = 0;
	uint32_t data = 0, line;

	if (r->rdx >= messages(f)) {
		return HC_ENOENT;
	}
	if (!off && (r->r10 < HC_LINE_MSI || r->r10 >= HC_LINES)) {
		return HC_EINVAL;
	}
	if (!off) {
		line = (uint32_t)r->r10 - HC_LINE_MSI;
		/* whatever is in the way of a message: none comes */
		if (give(f) || iommu_msi(f->address,
					 (uint8_t)(VECTOR_MSI_BASE + line),
					 &address, &data)) {
			return HC_EBUSY;
		}
		state_of(f)->lines |= BIT32(line);
	}
	if (f->msix) {
		msix_set(f, (uint32_t)r->rdx, (uint32_t)address, data);
	} else {
		msi_set(f, (uint32_t)address, data);
	}
	return HC_OK;
}

static hv_status_t pci_master(const struct boot_pci *f, uint64_t on)
{
	hv_status_t st = on > 1 ? HC_EINVAL : on ? give(f) : HC_OK;

	if (st) {
		return st == HC_EINVAL ? st : HC_EBUSY;
	}
	state_of(f)->master = on;
	if (on) {
		command_set(f, COMMAND_MASTER);
		return HC_OK;
	}
	command_change(f, COMMAND_MASTER, 0);
	return take(f);
}

/* What a reset has taken from it: BARs. Bits that cannot be written say what they
 * are. It answers nowhere, and sends no messages, until it is asked to. */
static void restore(const struct boot_pci *f)
{
	uint32_t b, reg;

	for (b = 0; b < BOOT_PCI_BARS; b++) {
		reg = REG_BAR + 4 * b;
		pci_config_write(f->address, reg, (uint32_t)f->bar[b].base);
		if (f->bar[b].flags & BOOT_BAR_64) {
			pci_config_write(f->address, reg + 4,
					 (uint32_t)(f->bar[b].base >> 32));
			b++;
		}
	}
	*state_of(f) = (struct pci_state){ 0 };
}

/* [PCIe "Function Level Reset (FLR)"]: it begins with the function at rest, and for
 * 100 ms nobody asks it anything. */
static hv_status_t pci_reset(const struct boot_pci *f)
{
	struct pci_state *s = state_of(f);
	uint32_t control;

	if (s->reset_until) {
		if (rdtsc() < s->reset_until) {
			return HC_EAGAIN;
		}
		restore(f);
		return HC_OK;
	}
	if (!f->express || !(pci_config_read(f->address, f->express +
					     EXPRESS_CAPS) & EXPRESS_CAPS_RESET)) {
		return HC_ENOSYS;
	}
	if (s->master || take(f)) {
		return HC_EBUSY;
	}
	command_change(f, COMMAND_IO | COMMAND_MEMORY, 0);
	/* the upper half is status, too */
	control = pci_config_read(f->address, f->express + EXPRESS_CONTROL);
	pci_config_write(f->address, f->express + EXPRESS_CONTROL,
			 (control & 0xffff) | EXPRESS_CONTROL_RESET);
	s->reset_until = rdtsc() + boot.tsc_hz / 10 + 1;
	return HC_EAGAIN;
}

/**
 * The host partition's program has ended: what is its own reaches no memory, and so
 * interrupts nobody, until the next one asks for it. What is in a reset reaches
 * nothing already, and is not to be asked. A unit that does not answer is a panic.
 */
void pci_stop(void)
{
	for (uint32_t i = 0; i < boot.pci_count; i++) {
		const struct boot_pci *f = &boot.pci[i];

		if ((f->flags & BOOT_PCI_OWNED) && !states[i].reset_until &&
		    pci_master(f, 0)) {
			panic("PCI function %#x cannot be stopped", f->address);
		}
	}
}

/**
 * HC_PCI by the host partition: see abi/hypercall.h. A function that is in a reset
 * is HC_EBUSY to all but that.
 */
hv_status_t pci_call(struct vcpu *v)
{
	struct guest_regs *r = &v->regs;
	const struct boot_pci *f;

	if (r->rdi == HC_PCI_FUNCTION || r->rdi == HC_PCI_DMA) {
		return r->rdi == HC_PCI_DMA ? pci_dma(r) : pci_function(r);
	}
	f = find(r->rsi);
	if (!f || r->rdi > HC_PCI_RESET) {
		return f ? HC_EINVAL : HC_ENOENT;
	}
	if (r->rdi == HC_PCI_RESET) {
		return pci_reset(f);
	}
	if (state_of(f)->reset_until) {
		return HC_EBUSY;
	}
	switch (r->rdi) {
	case HC_PCI_READ:
		return pci_read(f, r);
	case HC_PCI_WRITE:
		return pci_write(f, r);
	case HC_PCI_BAR:
		return pci_bar(f, r);
	case HC_PCI_MSI:
		return pci_msi(f, r);
	default:
		return pci_master(f, r->rdx);
	}
}
