/* SPDX-License-Identifier: MIT */
/*
 * HC_PCI over a configuration space of our own: what the host partition reaches of
 * its functions, and of those of others; that nothing is changed by a call that is
 * refused; and what messages and resets do.
 */
#include "hv_fakes.h"

#include <iommu.h>
#include <pci.h>

#define DISK		0x0000fau	/* 00:1f.2, MSI-X */
#define IDE		0x0000f9u	/* 00:1f.1 */
#define NIC		0x000200u	/* 02:00.0, MSI, behind a bridge */
#define BRIDGE		0x000010u
#define FOREIGN		0x000018u
#define TABLE		0x81002000ull
#define ENTRIES		4u

#define COMMAND		fn->reg[1]
#define EXPRESS		0x40u
#define MSIX		0x70u
#define MSI		0x50u

static struct fake_function {
	uint32_t address, reg[1024], size;
} functions[] = { { .address = DISK }, { .address = IDE }, { .address = NIC },
		  { .address = BRIDGE }, { .address = FOREIGN } };
static uint32_t table[ENTRIES * 4], changes;
static struct partition part;
static struct vcpu vcpu;

static struct fake_function *function_at(uint32_t address)
{
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		if (functions[i].address == address) {
			return &functions[i];
		}
	}
	fail_msg("no function %#x", address);
	return NULL;
}

uint32_t pci_config_size(uint32_t address)
{
	return function_at(address)->size;
}

uint32_t pci_config_read(uint32_t address, uint32_t reg)
{
	assert_true(!(reg & 3) && reg < function_at(address)->size);
	return function_at(address)->reg[reg / 4];
}

void pci_config_write(uint32_t address, uint32_t reg, uint32_t value)
{
	assert_true(!(reg & 3) && reg < function_at(address)->size);
	/* of the status half, ones would clear something */
	assert_true(reg != 4 || value <= 0xffff);
	function_at(address)->reg[reg / 4] = value;
	changes++;
}

/* The IOMMU: who is given, and the messages that it lets through. */
static struct {
	enum hc_iommu state;
	bool hangs;
	uint32_t given[4], count, messages;
} units;

enum hc_iommu iommu_state(void)
{
	return units.state;
}

static uint32_t *given_find(uint32_t function)
{
	uint32_t i;

	for (i = 0; i < units.count; i++) {
		if (units.given[i] == function) {
			return &units.given[i];
		}
	}
	return NULL;
}

hv_status_t iommu_attach(struct partition *p, uint32_t function,
			 const struct iommu_pool *pool)
{
	assert_ptr_equal(p, &part);
	assert_null(given_find(function));
	/* it may reach nothing before the units know of it */
	assert_false(function_at(function)->reg[1] & 4);
	if (units.hangs || !pool->size) {
		return pool->size ? HC_EBUSY : HC_EINVAL;
	}
	assert_int_equal(pool->hpa.v, 0x8000000);
	assert_int_equal(pool->gpa.v, 0x40000000);
	units.given[units.count++] = function;
	return HC_OK;
}

hv_status_t iommu_detach(uint32_t function)
{
	uint32_t *at = given_find(function);

	assert_non_null(at);
	assert_false(function_at(function)->reg[1] & 4);
	if (units.hangs) {
		return HC_EBUSY;
	}
	*at = units.given[--units.count];
	units.messages = 0;
	return HC_OK;
}

/* An entry's number may be in the address, and the data 0. */
hv_status_t iommu_msi(uint32_t function, uint8_t vector, uint64_t *address,
		      uint32_t *data)
{
	assert_non_null(given_find(function));
	units.messages |= BIT32(vector - VECTOR_MSI_BASE);
	*address = units.state ? 0xfee00010 | vector << 5 : 0xfee05000;
	*data = units.state ? 0 : vector;
	return cpus[0]->apic_id > 254 ? HC_EINVAL : HC_OK;
}

/* The table can be written only while the function answers. */
void *paging_window(uint64_t pa)
{
	assert_true(function_at(DISK)->reg[1] & 2);
	assert_true(pa >= TABLE && pa < TABLE + sizeof(table) && !(pa & 3));
	changes++;
	return (uint8_t *)table + (pa - TABLE);
}

static const struct boot_pci disk = {
	.address = DISK, .id = 0x29228086, .class = 0x01060102,
	.flags = BOOT_PCI_OWNED, .parent = BOOT_PCI_ROOT, .msix = MSIX,
	.msix_count = ENTRIES, .msix_table = TABLE, .express = EXPRESS,
	.bar = { [0] = { .base = 0x8080000000, .size = 0x4000,
			 .gpa = 0x100002000, .flags = BOOT_BAR_64 },
		 [2] = { .base = 0x9000000, .size = 0 },
		 [4] = { .base = 0xc040, .size = 0x20, .flags = BOOT_BAR_IO } },
};

static void start(void)
{
	uint32_t i;

	fakes_reset();
	cpus[0]->apic_id = 5;
	fake_vcpu_init(&vcpu, &part, 0);
	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		memset(functions[i].reg, 0, sizeof(functions[i].reg));
		functions[i].reg[1] = 0xffff0000;
		functions[i].size = i == 1 ? 256 : 4096;
	}
	memset(table, 0xaa, sizeof(table));
	partitions[0] = &part;
	partition_count = 1;
	part.flags = BOOT_PARTITION_HOST;
	boot.pci_count = 4;
	boot.pci[0] = disk;
	boot.pci[1] = (struct boot_pci){ .address = BRIDGE,
					 .parent = BOOT_PCI_ROOT };
	boot.pci[2] = (struct boot_pci){ .address = NIC, .parent = 1,
		.flags = BOOT_PCI_OWNED, .msi = MSI, .class = 0x02000000 };
	boot.pci[3] = (struct boot_pci){ .address = IDE, .class = 0x01018000,
		.flags = BOOT_PCI_OWNED, .parent = BOOT_PCI_ROOT,
		.irq = { 3, 4 } };
	boot.dma = (struct boot_region){ 0x40000000, 0x8000000, 0x200000, 0, 0 };
	changes = 0;
}

static hv_status_t ask(uint64_t what, uint64_t address, uint64_t a, uint64_t b,
		       uint64_t c)
{
	vcpu.regs = (struct guest_regs){ .rdi = what, .rsi = address, .rdx = a,
					 .r10 = b, .r8 = c };
	return pci_call(&vcpu);
}

/* The end of its program: all of its are stopped, whatever they did. */
static void all_stop(void **state)
{
	uint32_t i;

	(void)state;
	start();
	assert_int_equal(ask(HC_PCI_MASTER, DISK, 1, 0, 0), HC_OK);
	assert_int_equal(ask(HC_PCI_MASTER, NIC, 1, 0, 0), HC_OK);
	pci_stop();
	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		if (functions[i].address != BRIDGE) {
			assert_false(functions[i].reg[1] & 4);
		}
	}
	assert_int_equal(units.count, 0);
	/* and the next can have them */
	assert_int_equal(ask(HC_PCI_MASTER, DISK, 1, 0, 0), HC_OK);
	units.hangs = true;
	assert_panics(pci_stop());
	units.hangs = false;
}

static void functions_are_listed(void **state)
{
	(void)state;
	start();
	assert_int_equal(ask(HC_PCI_FUNCTION, 0, 0, 0, 0), HC_OK);
	assert_int_equal(vcpu.regs.rdi, DISK);
	assert_int_equal(vcpu.regs.rsi, 0x0106010229228086);
	assert_int_equal(vcpu.regs.rdx, ENTRIES);
	assert_int_equal(ask(HC_PCI_FUNCTION, 1, 0, 0, 0), HC_OK);
	assert_int_equal(vcpu.regs.rdi, NIC);
	assert_int_equal(vcpu.regs.rdx, 1);
	assert_int_equal(ask(HC_PCI_FUNCTION, 2, 0, 0, 0), HC_OK);
	assert_int_equal(vcpu.regs.r10, 0x0403);
	assert_int_equal(ask(HC_PCI_FUNCTION, 3, 0, 0, 0), HC_ENOENT);
	assert_int_equal(ask(HC_PCI_FUNCTION, ~0ull, 0, 0, 0), HC_ENOENT);
	assert_int_equal(ask(HC_PCI_DMA, 0, 0, 0, 0), HC_OK);
	assert_int_equal(vcpu.regs.rdi, 0x40000000);
	assert_int_equal(vcpu.regs.rsi, 0x200000);
	assert_int_equal(vcpu.regs.rdx, 0x8000000);
	boot.dma.size = 0;
	assert_int_equal(ask(HC_PCI_DMA, 0, 0, 0, 0), HC_ENOENT);
	assert_int_equal(changes, 0);
}

/* Nothing of it is reached, not even whether it is there. */
static void others_are_not_reached(void **state)
{
	static const uint64_t others[] = { FOREIGN, BRIDGE, 0x20, ~0ull,
					   DISK | BIT64(32) };
	uint64_t what;
	uint32_t i;

	(void)state;
	start();
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		for (what = HC_PCI_READ; what < HC_PCI_DMA; what++) {
			assert_int_equal(ask(what, others[i], 4, 2, 1),
					 HC_ENOENT);
		}
	}
	assert_int_equal(ask(HC_PCI_DMA + 1, DISK, 0, 0, 0), HC_EINVAL);
	assert_int_equal(ask(~0ull, DISK, 0, 0, 0), HC_EINVAL);
	assert_int_equal(changes, 0);
}

static void bytes_are_read(void **state)
{
	static const struct {
		uint64_t offset, size;
	} bad[] = { { 0, 0 }, { 0, 3 }, { 0, 8 }, { 1, 2 }, { 2, 4 },
		    { 4096, 4 }, { ~0ull, 1 }, { BIT64(32), 4 }, { 0, ~0ull } };
	struct fake_function *fn;
	uint32_t i;

	(void)state;
	start();
	fn = function_at(DISK);
	fn->reg[0] = 0x29228086;
	fn->reg[1023] = 0x12345678;
	assert_int_equal(ask(HC_PCI_READ, DISK, 0, 4, 0), HC_OK);
	assert_int_equal(vcpu.regs.rdi, 0x29228086);
	assert_int_equal(ask(HC_PCI_READ, DISK, 2, 2, 0), HC_OK);
	assert_int_equal(vcpu.regs.rdi, 0x2922);
	assert_int_equal(ask(HC_PCI_READ, DISK, 4095, 1, 0), HC_OK);
	assert_int_equal(vcpu.regs.rdi, 0x12);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(ask(HC_PCI_READ, DISK, bad[i].offset,
				     bad[i].size, 0), HC_EINVAL);
		assert_int_equal(ask(HC_PCI_WRITE, DISK, bad[i].offset,
				     bad[i].size, ~0ull), HC_EINVAL);
	}
	/* by ports there is less */
	assert_int_equal(ask(HC_PCI_READ, IDE, 256, 4, 0), HC_EINVAL);
	assert_int_equal(ask(HC_PCI_READ, IDE, 252, 4, 0), HC_OK);
	assert_int_equal(changes, 0);
}

/* Every byte, by every size: only those of the table change, and of them only the
 * bits that are meant. */
static void few_bits_are_written(void **state)
{
	struct fake_function *fn;
	uint32_t offset, size, reg;

	(void)state;
	start();
	fn = function_at(DISK);
	for (size = 1; size <= 4; size *= 2) {
		for (offset = 0; offset < 4096; offset += size) {
			COMMAND = 0xffff0000;
			hv_status_t st = ask(HC_PCI_WRITE, DISK, offset, size,
					     ~0ull);
			bool command = offset <= 5 && offset + size > 5;

			assert_int_equal(st, command ? HC_OK : HC_EPERM);
			for (reg = 0; reg < 1024; reg++) {
				assert_int_equal(fn->reg[reg], reg != 1 ? 0 :
						 command ? 0x400 : 0xffff0000);
			}
		}
	}
	fn = function_at(IDE);
	assert_int_equal(ask(HC_PCI_WRITE, IDE, 0x40, 2, 0x8000), HC_OK);
	assert_int_equal(ask(HC_PCI_WRITE, IDE, 0x42, 2, 0x1234), HC_OK);
	assert_int_equal(fn->reg[16], 0x12348000);
	assert_int_equal(ask(HC_PCI_WRITE, IDE, 0x4c, 4, 1), HC_EPERM);
	/* what is off stays off, what is on stays on */
	COMMAND = 0x290007;
	assert_int_equal(ask(HC_PCI_WRITE, IDE, 4, 2, 0x400), HC_OK);
	assert_int_equal(COMMAND, 0x407);
	assert_int_equal(ask(HC_PCI_WRITE, IDE, 4, 2, 0), HC_OK);
	assert_int_equal(COMMAND, 0x7);
}

static void bars_are_told(void **state)
{
	struct fake_function *fn;

	(void)state;
	start();
	fn = function_at(DISK);
	assert_int_equal(ask(HC_PCI_BAR, DISK, 1, 0, 0), HC_ENOENT);
	assert_int_equal(ask(HC_PCI_BAR, DISK, 2, 0, 0), HC_ENOENT);
	assert_int_equal(ask(HC_PCI_BAR, DISK, 6, 0, 0), HC_EINVAL);
	assert_int_equal(ask(HC_PCI_BAR, DISK, ~0ull, 0, 0), HC_EINVAL);
	assert_int_equal(changes, 0);
	assert_int_equal(ask(HC_PCI_BAR, DISK, 0, 0, 0), HC_OK);
	assert_int_equal(vcpu.regs.rdi, BOOT_BAR_64);
	assert_int_equal(vcpu.regs.rsi, 0x100002000);
	assert_int_equal(vcpu.regs.rdx, 0x4000);
	assert_int_equal(COMMAND, 2);
	assert_int_equal(ask(HC_PCI_BAR, DISK, 4, 0, 0), HC_OK);
	assert_int_equal(vcpu.regs.rsi, 0xc040);
	assert_int_equal(COMMAND, 3);
}

/* The way to memory is open as a whole, or not at all. */
static void mastering_is_by_name(void **state)
{
	(void)state;
	start();
	assert_int_equal(ask(HC_PCI_MASTER, NIC, 2, 0, 0), HC_EINVAL);
	assert_int_equal(changes, 0);
	assert_int_equal(ask(HC_PCI_MASTER, NIC, 1, 0, 0), HC_OK);
	assert_int_equal(function_at(NIC)->reg[1], 4);
	assert_int_equal(function_at(BRIDGE)->reg[1], 4);
	assert_int_equal(function_at(DISK)->reg[1], 0xffff0000);
	assert_int_equal(ask(HC_PCI_MASTER, NIC, 0, 0, 0), HC_OK);
	assert_int_equal(function_at(NIC)->reg[1], 0);
}

/* Under an IOMMU: given before it is master, taken back after, and its messages
 * with it; they are there again when it is master again. */
static void devices_are_given(void **state)
{
	struct fake_function *fn;
	uint32_t others;

	(void)state;
	start();
	(void)ask(HC_PCI_MASTER, DISK, 0, 0, 0);
	others = units.count;
	fn = function_at(DISK);
	units.state = HC_IOMMU_ON;
	assert_int_equal(ask(HC_PCI_DMA, 0, 0, 0, 0), HC_OK);
	assert_int_equal(vcpu.regs.rdx, 0x40000000);
	assert_int_equal(vcpu.regs.r10, 1);
	assert_int_equal(ask(HC_PCI_MSI, DISK, 1, 18, 0), HC_OK);
	assert_non_null(given_find(DISK));
	assert_int_equal(table[4], 0xfee00010 | (VECTOR_MSI_BASE + 2) << 5);
	assert_int_equal(table[6], 0);
	assert_int_equal(table[7], 0);
	assert_int_equal(ask(HC_PCI_MASTER, DISK, 1, 0, 0), HC_OK);
	assert_int_equal(units.count, others + 1);
	assert_int_equal(ask(HC_PCI_MASTER, DISK, 0, 0, 0), HC_OK);
	assert_int_equal(units.count, others);
	assert_int_equal(ask(HC_PCI_MASTER, DISK, 1, 0, 0), HC_OK);
	assert_int_equal(units.messages & BIT32(2), BIT32(2));
	/* it is no master whatever the unit says, and stays given */
	units.hangs = true;
	assert_int_equal(ask(HC_PCI_MASTER, DISK, 0, 0, 0), HC_EBUSY);
	assert_false(fn->reg[1] & 4);
	units.hangs = false;
	assert_int_equal(ask(HC_PCI_MASTER, DISK, 0, 0, 0), HC_OK);
	units.hangs = true;
	assert_int_equal(ask(HC_PCI_MASTER, DISK, 1, 0, 0), HC_EBUSY);
	assert_false(fn->reg[1] & 4);
	assert_int_equal(ask(HC_PCI_MSI, DISK, 0, 16, 0), HC_EBUSY);
	units.hangs = false;
	boot.dma.size = 0;
	assert_int_equal(ask(HC_PCI_MASTER, DISK, 1, 0, 0), HC_EINVAL);
	units.state = HC_IOMMU_NONE;
}

static void msix_raises_lines(void **state)
{
	struct fake_function *fn;
	uint32_t i;

	(void)state;
	start();
	fn = function_at(DISK);
	fn->reg[MSIX / 4] = 0x00030011;
	assert_int_equal(ask(HC_PCI_MSI, DISK, ENTRIES, 16, 0), HC_ENOENT);
	assert_int_equal(ask(HC_PCI_MSI, DISK, 0, 15, 0), HC_EINVAL);
	assert_int_equal(ask(HC_PCI_MSI, DISK, 0, 32, 0), HC_EINVAL);
	assert_int_equal(ask(HC_PCI_MSI, DISK, 0, BIT64(32) + 16, 0), HC_EINVAL);
	assert_int_equal(changes, 0);
	assert_int_equal(ask(HC_PCI_MSI, DISK, 2, 17, 0), HC_OK);
	assert_int_equal(fn->reg[MSIX / 4], 0x80030011);
	for (i = 0; i < ENTRIES; i++) {
		assert_int_equal(table[4 * i + 3], i == 2 ? 0 : 1);
	}
	assert_int_equal(table[8], 0xfee05000);
	assert_int_equal(table[9], 0);
	assert_int_equal(table[10], VECTOR_MSI_BASE + 1);
	/* another does not touch it */
	assert_int_equal(ask(HC_PCI_MSI, DISK, 0, 31, 0), HC_OK);
	assert_int_equal(table[2], VECTOR_MSI_BASE + 15);
	assert_int_equal(table[11], 0);
	assert_int_equal(ask(HC_PCI_MSI, DISK, 2, HC_PCI_NO_LINE, 0), HC_OK);
	assert_int_equal(table[11], 1);
	/* a CPU that a message cannot name */
	cpus[0]->apic_id = 255;
	changes = 0;
	assert_int_equal(ask(HC_PCI_MSI, DISK, 0, 16, 0), HC_EBUSY);
	assert_int_equal(changes, 0);
}

static void msi_raises_a_line(void **state)
{
	struct fake_function *fn;

	(void)state;
	start();
	fn = function_at(NIC);
	/* 32 bits; the firmware has left eight messages on */
	fn->reg[MSI / 4] = 0x00370005;
	assert_int_equal(ask(HC_PCI_MSI, NIC, 1, 16, 0), HC_ENOENT);
	assert_int_equal(ask(HC_PCI_MSI, NIC, 0, 16, 0), HC_OK);
	assert_int_equal(fn->reg[MSI / 4], 0x00070005);
	assert_int_equal(fn->reg[MSI / 4] & 0x10000, 0x10000);
	assert_int_equal(fn->reg[MSI / 4 + 1], 0xfee05000);
	assert_int_equal(fn->reg[MSI / 4 + 2], VECTOR_MSI_BASE);
	assert_int_equal(fn->reg[MSI / 4 + 3], 0);
	/* 64 bits, with masks */
	fn->reg[MSI / 4] = 0x01800005;
	fn->reg[MSI / 4 + 4] = ~0u;
	assert_int_equal(ask(HC_PCI_MSI, NIC, 0, 20, 0), HC_OK);
	assert_int_equal(fn->reg[MSI / 4 + 2], 0);
	assert_int_equal(fn->reg[MSI / 4 + 3], VECTOR_MSI_BASE + 4);
	assert_int_equal(fn->reg[MSI / 4 + 4], 0);
	assert_int_equal(ask(HC_PCI_MSI, NIC, 0, HC_PCI_NO_LINE, 0), HC_OK);
	assert_int_equal(fn->reg[MSI / 4], 0x01800005);
	/* no messages at all */
	assert_int_equal(ask(HC_PCI_MSI, IDE, 0, 16, 0), HC_ENOENT);
}

static void resets_take_their_time(void **state)
{
	struct fake_function *fn;

	(void)state;
	start();
	fn = function_at(DISK);
	assert_int_equal(ask(HC_PCI_RESET, NIC, 0, 0, 0), HC_ENOSYS);
	assert_int_equal(ask(HC_PCI_RESET, DISK, 0, 0, 0), HC_ENOSYS);
	fn->reg[EXPRESS / 4 + 1] = BIT32(28);
	fn->reg[EXPRESS / 4 + 2] = 0x000f2810;
	assert_int_equal(ask(HC_PCI_MASTER, DISK, 1, 0, 0), HC_OK);
	changes = 0;
	assert_int_equal(ask(HC_PCI_RESET, DISK, 0, 0, 0), HC_EBUSY);
	assert_int_equal(changes, 0);
	assert_int_equal(ask(HC_PCI_MASTER, DISK, 0, 0, 0), HC_OK);
	assert_int_equal(ask(HC_PCI_BAR, DISK, 0, 0, 0), HC_OK);
	assert_int_equal(ask(HC_PCI_RESET, DISK, 0, 0, 0), HC_EAGAIN);
	assert_int_equal(fn->reg[EXPRESS / 4 + 2], 0xa810);
	assert_int_equal(COMMAND, 0);
	fn->reg[4] = fn->reg[5] = 0;	/* its BARs are gone */
	changes = 0;
	assert_int_equal(ask(HC_PCI_BAR, DISK, 0, 0, 0), HC_EBUSY);
	assert_int_equal(ask(HC_PCI_MASTER, DISK, 1, 0, 0), HC_EBUSY);
	assert_int_equal(ask(HC_PCI_MSI, DISK, 0, 16, 0), HC_EBUSY);
	/* the program ends meanwhile: what all registers read as is not written back */
	fn->reg[1] = ~0u;
	pci_stop();
	assert_int_equal(fn->reg[1], ~0u);
	fn->reg[1] = 0;
	changes = 0;
	fake.tsc += boot.tsc_hz / 10;
	assert_int_equal(ask(HC_PCI_RESET, DISK, 0, 0, 0), HC_EAGAIN);
	assert_int_equal(changes, 0);
	fake.tsc++;
	assert_int_equal(ask(HC_PCI_RESET, DISK, 0, 0, 0), HC_OK);
	assert_int_equal(fn->reg[4], 0x80000000);
	assert_int_equal(fn->reg[5], 0x80);
	assert_int_equal(fn->reg[6], 0x9000000);
	assert_int_equal(fn->reg[8], 0xc040);
	assert_int_equal(COMMAND, 0);
	assert_int_equal(ask(HC_PCI_BAR, DISK, 0, 0, 0), HC_OK);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(functions_are_listed),
		cmocka_unit_test(others_are_not_reached),
		cmocka_unit_test(bytes_are_read),
		cmocka_unit_test(few_bits_are_written),
		cmocka_unit_test(bars_are_told),
		cmocka_unit_test(mastering_is_by_name),
		cmocka_unit_test(msix_raises_lines),
		cmocka_unit_test(msi_raises_a_line),
		cmocka_unit_test(devices_are_given),
		cmocka_unit_test(resets_take_their_time),
		cmocka_unit_test(all_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
