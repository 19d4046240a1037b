/* SPDX-License-Identifier: MIT */
/*
 * host-bridge with a test in it: right after pci_init() it tries what the host
 * partition may do with PCI, and what it may not, and says what it got, a line
 * each. QEMU's device edu, if it is there, sends a message and moves memory. [QEMU
 * "EDU device"]
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "abi/boot_info.h"
#include "proto/host_info.h"
#include "drivers/portio.h"
#include "host-bridge/dev/dma.h"
#include "host-bridge/dev/pci.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/hc.h"
#include "probe.h"

#define CONFIG_ADDRESS	0xcf8
#define CONFIG_DATA	0xcfc
#define CONFIG_ENABLE	0x80000000u

#define NVME_CLASS	0x010802u
#define EDU_CLASS	0x00ff00u
#define EDU_ID		0x00
#define EDU_LIVE	0x04
#define EDU_IRQ_STATUS	0x24
#define EDU_IRQ_RAISE	0x60
#define EDU_IRQ_ACK	0x64
#define EDU_DMA_SOURCE	0x80
#define EDU_DMA_TARGET	0x88
#define EDU_DMA_COUNT	0x90
#define EDU_DMA_COMMAND	0x98
#define EDU_DMA_START	1u
#define EDU_DMA_TO_RAM	2u
#define EDU_BUFFER	0x40000u
#define WAIT_MS		2000u
#define NONE_MS		100u		/* for what must not come */
#define BYTES		256u
#define CANARY_BYTES	0x20000u
#define RANDOM		16u

void __real_pci_init(void);
void __wrap_pci_init(void);

static unsigned interrupts;
static volatile uint8_t *edu;

/** See probe.h. */
void probe_say(const char *what, int64_t result)
{
	printf("PROBE %s %lld\n", what, (long long)result);
}

static void try_ports(void)
{
	port_out32(CONFIG_ADDRESS, CONFIG_ENABLE);
	probe_say("port-address", port_in32(CONFIG_ADDRESS) == UINT32_MAX);
	probe_say("port-data", port_in32(CONFIG_DATA) == UINT32_MAX);
	probe_say("port-data8", port_in8(CONFIG_DATA + 3) == 0xff);
}

/* All functions of the first buses, bridges and what is behind them: how many answer
 * that are not in the list. */
static void try_foreign(void)
{
	unsigned reached = 0;

	for (uint32_t address = 0; address < 4 * 256; address++) {
		struct pci_dev dev = { .address = address }, *own = NULL;

		for (unsigned i = 0; pci_get(i) && !own; i++) {
			own = pci_get(i)->address == address ? pci_get(i) : NULL;
		}
		reached += !own && (pci_read(&dev, 0, 4) != UINT32_MAX ||
				    pci_write(&dev, 4, 2, 7) != ENOENT ||
				    pci_master(&dev, true) != ENOENT);
	}
	probe_say("foreign-reached", reached);
}

/* Of each of ours: BARs and bus mastering by configuration space. */
static void try_own(void)
{
	struct pci_dev *dev;
	unsigned wrong = 0;

	for (unsigned i = 0; (dev = pci_get(i)); i++) {
		uint32_t command = pci_read(dev, 4, 2);

		wrong += pci_read(dev, 0, 2) != dev->vendor;
		for (unsigned bar = 0x10; bar < 0x28; bar += 4) {
			wrong += pci_write(dev, bar, 4, 0) != EPERM;
		}
		wrong += pci_write(dev, 4, 2, command | 4) != 0;
		wrong += (pci_read(dev, 4, 2) & 4) != 0;
	}
	probe_say("functions", wrong == 0 && pci_get(0));
}

static uint32_t get(unsigned at)
{
	return *(volatile uint32_t *)(edu + at);
}

static void put(unsigned at, uint32_t value)
{
	*(volatile uint32_t *)(edu + at) = value;
}

static void put64(unsigned at, uint64_t value)
{
	*(volatile uint64_t *)(edu + at) = value;
}

static void on_interrupt(void *arg)
{
	(void)arg;
	interrupts++;
	put(EDU_IRQ_ACK, get(EDU_IRQ_STATUS));
}

/* Raises it, and says how often we were called. */
static void try_message(const char *what, unsigned ms)
{
	uint64_t end = loop_now() + loop_ms_to_ticks(ms);

	interrupts = 0;
	put(EDU_IRQ_RAISE, 4);
	while (!interrupts && loop_now() < end) {
		loop_step(end);
	}
	probe_say(what, interrupts);
	put(EDU_IRQ_ACK, get(EDU_IRQ_STATUS));
}

static void transfer(uint64_t source, uint64_t target, uint32_t command)
{
	uint64_t end = loop_now() + loop_ms_to_ticks(WAIT_MS);

	put64(EDU_DMA_SOURCE, source);
	put64(EDU_DMA_TARGET, target);
	put64(EDU_DMA_COUNT, BYTES);
	put64(EDU_DMA_COMMAND, command | EDU_DMA_START);
	while ((get(EDU_DMA_COMMAND) & EDU_DMA_START) && loop_now() < end) {
		loop_step(loop_now() + loop_ms_to_ticks(10));
	}
}

/* Memory to the device and back; says how many bytes came. */
static void try_memory(const char *what)
{
	uint8_t *from = dma_alloc(BYTES, 1), *to = dma_alloc(BYTES, 1);
	unsigned same = 0;

	if (!from || !to) {
		probe_say(what, -1);
		return;
	}
	for (unsigned i = 0; i < BYTES; i++) {
		from[i] = (uint8_t)(i | 1);
	}
	transfer(dma_bus(from), EDU_BUFFER, 0);
	transfer(EDU_BUFFER, dma_bus(to), EDU_DMA_TO_RAM);
	for (unsigned i = 0; i < BYTES; i++) {
		same += ((volatile uint8_t *)to)[i] == from[i];
	}
	probe_say(what, same);
	dma_free(from, BYTES);
	dma_free(to, BYTES);
}

/** See probe.h. */
uint64_t probe_blocked(void)
{
	struct hc_regs r;

	return hc_query(HC_QUERY_IOMMU, 0, 0, &r) == HC_OK ? r.rdx : 0;
}

/** See probe.h. */
uint32_t probe_canary(void)
{
	const uint32_t *at = (const uint32_t *)(uintptr_t)HOST_IMAGE_GPA;
	uint32_t sum = 0;

	for (unsigned i = 0; i < CANARY_BYTES / 4; i++) {
		sum = sum * 31 + at[i];
	}
	return sum;
}

/* Bytes that the device has got of the firmware, which ends at 4 GiB with code. */
static int64_t read_firmware(void)
{
	uint8_t *to = dma_alloc(BYTES, 1);
	int64_t got = 0;

	if (!to) {
		return -1;
	}
	transfer(0x100000000ull - BYTES, EDU_BUFFER, 0);
	transfer(EDU_BUFFER, dma_bus(to), EDU_DMA_TO_RAM);
	for (unsigned i = 0; i < BYTES; i++) {
		got += ((volatile uint8_t *)to)[i] != 0;
	}
	/* the last that it reaches */
	probe_say("edu-page", (int64_t)dma_bus(to));
	dma_free(to, BYTES);
	return got;
}

/* A driver that is an enemy: the device is to write over the firmware's memory, the
 * hypervisor's, ours and Linux's, whether a bus address is physical or one of ours,
 * to read there, and to send interrupts of others. */
static void try_hostile(struct pci_dev *dev, const struct hc_regs *pool)
{
	const uint64_t wanted[] = {
		0, 0x1000, 0x8000, HOST_IMAGE_GPA, HOST_IMAGE_GPA + 0x10000,
		pool->rdi - BYTES, pool->rdi + pool->rsi, 0x100000, 0x1000000,
		0x7ff000, 0xfffff000, HOST_CHANNEL_GPA };
	uint32_t seed = 1, sum = probe_canary();
	uint64_t before, tried = 0;

	probe_say("hostile-master", pci_master(dev, true));
	before = probe_blocked();
	for (unsigned i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		transfer(EDU_BUFFER, wanted[i], EDU_DMA_TO_RAM);
		tried++;
	}
	for (unsigned i = 0; i < RANDOM; i++) {
		/* a page of the first GiB, in which the pool is not */
		seed = seed * 1103515245 + 12345;
		transfer(i % 4 ? EDU_BUFFER : (seed & 0x3ffff000u),
			 i % 4 ? (seed & 0x3ffff000u) : EDU_BUFFER,
			 i % 4 ? EDU_DMA_TO_RAM : 0);
		tried++;
	}
	probe_say("hostile-unblocked", (int64_t)(tried - (probe_blocked() - before)));
	probe_say("hostile-read", read_firmware());
	interrupts = 0;
	for (unsigned i = 0; i < 4; i++) {
		transfer(EDU_BUFFER, 0xfee00010u + (0x40u + i) * 32, EDU_DMA_TO_RAM);
	}
	probe_say("hostile-interrupts", interrupts);
	probe_say("hostile-canary", probe_canary() == sum);
	probe_say("hostile-off", pci_master(dev, false));
	probe_say("pool-first", (int64_t)pool->rdi);
	probe_say("pool-bytes", (int64_t)pool->rsi);
}

static void try_edu(struct pci_dev *dev, const struct hc_regs *pool)
{
	struct pci_bar bar;

	probe_say("edu-claim", pci_claim(dev, "edu"));
	probe_say("edu-bar", pci_bar(dev, 0, &bar));
	probe_say("edu-no-bar", pci_bar(dev, 1, &bar) == ENOENT);
	edu = bar.regs;
	probe_say("edu-id", get(EDU_ID) & 0xff);
	put(EDU_LIVE, 0x12345678);
	probe_say("edu-live", get(EDU_LIVE) == ~0x12345678u);
	probe_say("edu-irq", pci_irq(dev, 0, on_interrupt, NULL));
	probe_say("edu-no-irq", pci_irq(dev, dev->messages, on_interrupt, NULL) == ENOENT);
	try_message("edu-message-off", NONE_MS);
	try_memory("edu-dma-off");
	probe_say("edu-master", pci_master(dev, true));
	try_message("edu-message-on", WAIT_MS);
	try_memory("edu-dma-on");
	pci_irq_off(dev, 0);
	try_message("edu-irq-off", NONE_MS);
	probe_say("edu-master-off", pci_master(dev, false));
	try_memory("edu-dma-off-again");
	probe_say("edu-reset", pci_reset(dev) == ENOTSUP);
	if (pool->r10) {
		try_hostile(dev, pool);
	}
}

/** In the place of pci_init(), by the linker. */
void __wrap_pci_init(void)
{
	struct hc_regs pool = { 0 };
	struct pci_dev *dev;

	__real_pci_init();
	try_ports();
	try_foreign();
	try_own();
	hc_pci(HC_PCI_DMA, 0, &pool);
	dev = pci_find(NULL, EDU_CLASS, 0xffffff);
	if (dev) {
		try_edu(dev, &pool);
	}
	dev = pci_find(NULL, NVME_CLASS, 0xffffff);
	if (dev && pool.r10) {
		storm_try(dev, &pool);
	}
	printf("PROBE end\n");
}
