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
#include "drivers/portio.h"
#include "host-bridge/dev/dma.h"
#include "host-bridge/dev/pci.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/hc.h"

#define CONFIG_ADDRESS	0xcf8
#define CONFIG_DATA	0xcfc
#define CONFIG_ENABLE	0x80000000u

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

void __real_pci_init(void);
void __wrap_pci_init(void);

static unsigned interrupts;
static volatile uint8_t *edu;

static void say(const char *what, int64_t result)
{
	printf("PROBE %s %lld\n", what, (long long)result);
}

static void try_ports(void)
{
	port_out32(CONFIG_ADDRESS, CONFIG_ENABLE);
	say("port-address", port_in32(CONFIG_ADDRESS) == UINT32_MAX);
	say("port-data", port_in32(CONFIG_DATA) == UINT32_MAX);
	say("port-data8", port_in8(CONFIG_DATA + 3) == 0xff);
}

/* All functions of bus 0: how many answer that are not in the list. */
static void try_foreign(void)
{
	unsigned reached = 0;

	for (uint32_t address = 0; address < 256; address++) {
		struct pci_dev dev = { .address = address }, *own = NULL;

		for (unsigned i = 0; pci_get(i) && !own; i++) {
			own = pci_get(i)->address == address ? pci_get(i) : NULL;
		}
		reached += !own && (pci_read(&dev, 0, 4) != UINT32_MAX ||
				    pci_write(&dev, 4, 2, 7) != ENOENT ||
				    pci_master(&dev, true) != ENOENT);
	}
	say("foreign-reached", reached);
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
	say("functions", wrong == 0 && pci_get(0));
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
	say(what, interrupts);
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
		say(what, -1);
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
	say(what, same);
	dma_free(from, BYTES);
	dma_free(to, BYTES);
}

static void try_edu(struct pci_dev *dev)
{
	struct pci_bar bar;

	say("edu-claim", pci_claim(dev, "edu"));
	say("edu-bar", pci_bar(dev, 0, &bar));
	say("edu-no-bar", pci_bar(dev, 1, &bar) == ENOENT);
	edu = bar.regs;
	say("edu-id", get(EDU_ID) & 0xff);
	put(EDU_LIVE, 0x12345678);
	say("edu-live", get(EDU_LIVE) == ~0x12345678u);
	say("edu-irq", pci_irq(dev, 0, on_interrupt, NULL));
	say("edu-no-irq", pci_irq(dev, dev->messages, on_interrupt, NULL) == ENOENT);
	try_message("edu-message-off", NONE_MS);
	try_memory("edu-dma-off");
	say("edu-master", pci_master(dev, true));
	try_message("edu-message-on", WAIT_MS);
	try_memory("edu-dma-on");
	pci_irq_off(dev, 0);
	try_message("edu-irq-off", NONE_MS);
	say("edu-master-off", pci_master(dev, false));
	try_memory("edu-dma-off-again");
	say("edu-reset", pci_reset(dev) == ENOTSUP);
}

/** In the place of pci_init(), by the linker. */
void __wrap_pci_init(void)
{
	struct pci_dev *dev;

	__real_pci_init();
	try_ports();
	try_foreign();
	try_own();
	dev = pci_find(NULL, EDU_CLASS, 0xffffff);
	if (dev) {
		try_edu(dev);
	}
	printf("PROBE end\n");
}
