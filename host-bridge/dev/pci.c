/* SPDX-License-Identifier: MIT */
/*
 * PCI functions of the host partition: a list, read once, and for each the calls to
 * the hypervisor. Their interrupts are lines of ours, HC_LINE_MSI and up, one a
 * message; a table says whose each is. What a function says of itself is not
 * trusted: lists of capabilities end by a count. One CPU, no interrupts: no locks.
 */
#include <errno.h>
#include <stddef.h>

#include "abi/boot_info.h"
#include "host-bridge/dev/pci.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/hc.h"

#define REG_COMMAND	0x04u
#define REG_STATUS	0x06u
#define STATUS_LIST	0x10u		/* there are capabilities */
#define REG_LIST	0x34u
#define LIST_FIRST	0x40u
#define LIST_MAX	48u		/* as many fit */
#define ISA_MESSAGE	0x10000u	/* + channel: no message, a line */
#define CLASS_IDE	0x0101u
#define INTX_MAX	16u

static struct pci_dev devs[BOOT_MAX_PCI];
static unsigned dev_count;

/* Whose a line is: those below HC_LINE_MSI are the manifest's, and of IDE channels
 * here. */
static struct line {
	struct pci_dev *dev;	/* NULL: nobody's */
	unsigned message;
	bool again;			/* nothing came: see pci_irq_again() */
	uint64_t taken;
	void (*fn)(void *arg);
	void *arg;
} lines[HC_LINES];

/* Of those that are no messages, each may be several functions'. */
static struct line intxs[INTX_MAX];
static unsigned intx_count;

static int to_errno(int64_t status)
{
	switch (status) {
	case HC_OK:
		return 0;
	case HC_ENOENT:
		return ENOENT;
	case HC_EPERM:
		return EPERM;
	case HC_EBUSY:
		return EBUSY;
	case HC_EAGAIN:
		return EAGAIN;
	case HC_ENOSYS:
		return ENOTSUP;
	default:
		return EINVAL;
	}
}

/** See pci.h. The hypervisor lists them in the order of their addresses. */
void pci_init(void)
{
	dev_count = intx_count = 0;
	while (dev_count < BOOT_MAX_PCI) {
		struct hc_regs r = { 0 };
		struct pci_dev *dev = &devs[dev_count];

		if (hc_pci(HC_PCI_FUNCTION, dev_count, &r) != HC_OK) {
			break;
		}
		*dev = (struct pci_dev){
			.address = (uint32_t)r.rdi,
			.vendor = (uint16_t)r.rsi,
			.device = (uint16_t)(r.rsi >> 16),
			.revision = (uint8_t)(r.rsi >> 32),
			.class = (uint32_t)(r.rsi >> 40),
			.messages = (unsigned)r.rdx,
		};
		if (dev->class >> 8 == CLASS_IDE) {
			dev->isa_irq[0] = (uint8_t)r.r10;
			dev->isa_irq[1] = (uint8_t)(r.r10 >> 8);
		} else {
			dev->intx = (uint8_t)r.r10;
		}
		dev_count++;
	}
}

/** See pci.h. */
struct pci_dev *pci_get(unsigned index)
{
	return index < dev_count ? &devs[index] : NULL;
}

/** See pci.h. */
struct pci_dev *pci_find(const struct pci_dev *after, uint32_t class,
			 uint32_t mask)
{
	unsigned i = after ? (unsigned)(after - devs) + 1 : 0;

	for (; i < dev_count; i++) {
		if ((devs[i].class & mask) == class) {
			return &devs[i];
		}
	}
	return NULL;
}

/** See pci.h. */
int pci_claim(struct pci_dev *dev, const char *driver)
{
	if (dev->driver) {
		return EBUSY;
	}
	dev->driver = driver;
	return 0;
}

/** See pci.h. */
uint32_t pci_read(const struct pci_dev *dev, unsigned offset, unsigned size)
{
	struct hc_regs r = { .rdx = offset, .r10 = size };

	if (hc_pci(HC_PCI_READ, dev->address, &r) != HC_OK) {
		return UINT32_MAX;
	}
	return (uint32_t)r.rdi;
}

/** See pci.h. Bits of the register that are not ours stay as they are. */
int pci_write(const struct pci_dev *dev, unsigned offset, unsigned size,
	      uint32_t value)
{
	struct hc_regs r = { .rdx = offset, .r10 = size, .r8 = value };

	return to_errno(hc_pci(HC_PCI_WRITE, dev->address, &r));
}

/** See pci.h. */
unsigned pci_capability(const struct pci_dev *dev, unsigned id, unsigned after)
{
	unsigned at = after ? after + 1 : REG_LIST;

	if (!(pci_read(dev, REG_STATUS, 2) & STATUS_LIST)) {
		return 0;
	}
	for (unsigned i = 0; i < LIST_MAX; i++) {
		at = pci_read(dev, at, 1) & 0xfc;
		if (at < LIST_FIRST) {
			return 0;
		}
		if (pci_read(dev, at, 1) == id) {
			return at;
		}
		at++;
	}
	return 0;
}

/** See pci.h. */
int pci_bar(const struct pci_dev *dev, unsigned number, struct pci_bar *bar)
{
	struct hc_regs r = { .rdx = number };
	int error = to_errno(hc_pci(HC_PCI_BAR, dev->address, &r));

	if (error == 0) {
		bool io = (r.rdi & BOOT_BAR_IO) != 0;

		*bar = (struct pci_bar){
			.regs = io ? NULL : (void *)(uintptr_t)r.rsi,
			.port = io ? (uint16_t)r.rsi : 0,
			.size = r.rdx,
		};
	}
	return error;
}

static void on_line(void *arg)
{
	struct line *line = arg;

	line->taken += !line->again;
	line->again = false;
	if (line->fn) {
		line->fn(line->arg);
	}
}

static struct line *line_of(const struct pci_dev *dev, unsigned message)
{
	for (unsigned i = 0; i < HC_LINES; i++) {
		if (lines[i].dev == dev && lines[i].message == message) {
			return &lines[i];
		}
	}
	for (unsigned i = 0; i < intx_count; i++) {
		if (intxs[i].dev == dev && intxs[i].message == message) {
			return &intxs[i];
		}
	}
	return NULL;
}

static void line_take(struct line *line, struct pci_dev *dev, unsigned message,
		      void (*fn)(void *arg), void *arg)
{
	*line = (struct line){
		.dev = dev, .message = message, .fn = fn, .arg = arg,
		.taken = line->dev ? line->taken : 0,
	};
	loop_on_event(HC_EVENT_IRQ(line - lines), on_line, line);
}

/** See pci.h. The handler is there before the first message. */
int pci_irq(struct pci_dev *dev, unsigned message, void (*fn)(void *arg),
	    void *arg)
{
	struct line *line = line_of(dev, message);
	struct hc_regs r;
	int error;

	for (unsigned i = HC_LINE_MSI; !line && i < HC_LINES; i++) {
		line = lines[i].dev ? NULL : &lines[i];
	}
	if (!line) {
		return message < dev->messages ? ENOSPC : ENOENT;
	}
	r = (struct hc_regs){ .rdx = message, .r10 = (uint64_t)(line - lines) };
	error = to_errno(hc_pci(HC_PCI_MSI, dev->address, &r));
	if (error == 0) {
		line_take(line, dev, message, fn, arg);
	}
	return error;
}

/** See pci.h. */
void pci_irq_off(struct pci_dev *dev, unsigned message)
{
	struct line *line = line_of(dev, message);
	struct hc_regs r = { .rdx = message, .r10 = HC_PCI_NO_LINE };

	if (line) {
		(void)hc_pci(HC_PCI_MSI, dev->address, &r);
		*line = (struct line){ 0 };
	}
}

/** See pci.h. */
int pci_isa_irq(struct pci_dev *dev, unsigned channel, void (*fn)(void *arg),
		void *arg)
{
	if (channel > 1 || !dev->isa_irq[channel]) {
		return ENOENT;
	}
	line_take(&lines[dev->isa_irq[channel] - 1], dev, ISA_MESSAGE + channel,
		  fn, arg);
	return to_errno(hc_irq(dev->isa_irq[channel] - 1u, 1));
}

/* Whoever has that line looks; then it may come again. */
static void on_intx(void *arg)
{
	const struct line *first = arg;

	for (unsigned i = 0; i < intx_count; i++) {
		if (intxs[i].dev->intx == first->dev->intx) {
			on_line(&intxs[i]);
		}
	}
	(void)hc_irq(first->dev->intx - 1u, 1);
}

/** See pci.h. */
int pci_intx(struct pci_dev *dev, void (*fn)(void *arg), void *arg)
{
	struct line *line = &intxs[intx_count];

	if (!dev->intx) {
		return ENOENT;
	}
	if (intx_count == INTX_MAX) {
		return ENOSPC;
	}
	*line = (struct line){ .dev = dev, .message = PCI_INTX, .fn = fn,
			       .arg = arg };
	intx_count++;
	loop_on_event(HC_EVENT_IRQ(dev->intx - 1u), on_intx, line);
	/* the loader has turned it off */
	(void)pci_write(dev, REG_COMMAND, 2, 0);
	return to_errno(hc_irq(dev->intx - 1u, 1));
}

/** See pci.h. Others have theirs before. */
void pci_irq_again(struct pci_dev *dev, unsigned message)
{
	struct line *line = line_of(dev, message);

	if (line) {
		line->again = true;
		loop_again(HC_EVENT_IRQ(message == PCI_INTX ? dev->intx - 1 :
					line - lines));
	}
}

/** See pci.h. */
int pci_master(struct pci_dev *dev, bool on)
{
	struct hc_regs r = { .rdx = on };
	int error = to_errno(hc_pci(HC_PCI_MASTER, dev->address, &r));

	if (error == 0) {
		dev->master = on;
	}
	return error;
}

/** See pci.h. */
int pci_reset(struct pci_dev *dev)
{
	struct hc_regs r = { 0 };
	int error = dev->master ? pci_master(dev, false) : 0;

	if (error == 0) {
		error = to_errno(hc_pci(HC_PCI_RESET, dev->address, &r));
	}
	for (unsigned i = HC_LINE_MSI; error == 0 && i < HC_LINES; i++) {
		if (lines[i].dev == dev) {
			lines[i] = (struct line){ 0 };
		}
	}
	return error;
}

/** See pci.h; by the most special that is known. [PCI Code and ID Assignment] */
const char *pci_class_name(uint32_t class)
{
	static const struct {
		uint32_t mask, class;
		const char *name;
	} names[] = {
		{ 0xffff00, 0x010100, "IDE controller" },
		{ 0xffffff, 0x010601, "AHCI controller" },
		{ 0xffffff, 0x010802, "NVMe controller" },
		{ 0xff0000, 0x010000, "storage controller" },
		{ 0xffff00, 0x020000, "Ethernet controller" },
		{ 0xff0000, 0x020000, "network controller" },
		{ 0xff0000, 0x030000, "display controller" },
		{ 0xffffff, 0x0c0300, "USB controller (UHCI)" },
		{ 0xffffff, 0x0c0310, "USB controller (OHCI)" },
		{ 0xffffff, 0x0c0320, "USB controller (EHCI)" },
		{ 0xffffff, 0x0c0330, "USB controller (xHCI)" },
		{ 0xffff00, 0x0c0300, "USB controller" },
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((class & names[i].mask) == names[i].class) {
			return names[i].name;
		}
	}
	return "other";
}

/** See pci.h. */
unsigned pci_interrupts(const struct pci_dev *dev, unsigned *numbers,
			unsigned max, uint64_t *taken)
{
	unsigned count = 0;

	*taken = 0;
	for (unsigned i = 0; i < HC_LINES && count < max; i++) {
		if (lines[i].dev == dev) {
			numbers[count++] = i;
			*taken += lines[i].taken;
		}
	}
	for (unsigned i = 0; i < intx_count && count < max; i++) {
		if (intxs[i].dev == dev) {
			numbers[count++] = dev->intx - 1u;
			*taken += intxs[i].taken;
		}
	}
	return count;
}
