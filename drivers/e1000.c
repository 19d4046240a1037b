/* SPDX-License-Identifier: MIT */
/*
 * The e1000 driver. A descriptor of either queue has a buffer of its own for good,
 * and a frame takes one. Of what the card writes, the status and length of
 * descriptors, each is read once; whose turn it is our side knows by itself.
 *
 * Sending interrupts only after the queue was full: what is sent is taken back when
 * more is, or by nic.c's timer. Manuals: [8254x] "PCI/PCI-X Family of Gigabit
 * Ethernet Controllers Software Developer's Manual", [82574] "82574 GbE Controller
 * Family Datasheet".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers/e1000.h"
#include "drivers/mmio.h"
#include "host-bridge/dev/dma.h"

/* [8254x "Register Descriptions"] */
#define CTRL			0x0000
#define CTRL_FD			(1u << 0)
#define CTRL_ASDE		(1u << 5)	/* speed as negotiated */
#define CTRL_SLU		(1u << 6)	/* set link up */
#define CTRL_RST		(1u << 26)
#define STATUS			0x0008
#define STATUS_LU		(1u << 1)
#define EERD			0x0014		/* the 82540EM's */
#define EERD_START		(1u << 0)
#define EERD_DONE		(1u << 4)
#define EERD_WORD(i)		((i) << 8)
#define EERD_DATA(value)	((value) >> 16)
#define ICR			0x00c0
#define ICR_TXDW		(1u << 0)
#define ICR_LSC			(1u << 2)
#define ICR_RXDMT0		(1u << 4)
#define ICR_RXO			(1u << 6)
#define ICR_RXT0		(1u << 7)
#define ITR			0x00c4
#define IMS			0x00d0
#define IMC			0x00d8
#define RCTL			0x0100
#define RCTL_EN			(1u << 1)
#define RCTL_MPE		(1u << 4)	/* all groups' frames */
#define RCTL_BAM		(1u << 15)	/* broadcasts */
#define RCTL_SECRC		(1u << 26)	/* without the check sequence */
#define TCTL			0x0400
#define TCTL_EN			(1u << 1)
#define TCTL_PSP		(1u << 3)	/* short frames are padded */
#define TCTL_CT			(0x0fu << 4)
#define TCTL_COLD		(0x40u << 12)
#define TIPG			0x0410
#define TIPG_COPPER		(8u | 8u << 10 | 6u << 20)
#define RDBAL			0x2800
#define TDBAL			0x3800
#define BAH			0x04		/* behind these two */
#define LEN			0x08
#define HEAD			0x10
#define TAIL			0x18
#define RDTR			0x2820
#define RADV			0x282c
#define RXCSUM			0x5000
#define RXCSUM_IPOFLD		(1u << 8)
#define RXCSUM_TUOFLD		(1u << 9)
#define MTA			0x5200
#define RAL			0x5400
#define RAH			0x5404
#define RAH_AV			(1u << 31)	/* address valid */

/* [82574 "Interrupt Vector Allocation Registers - IVAR"; "Interrupt Cause"]: all
 * causes lead to message 0. */
#define IVAR			0x00e4
#define IVAR_ALL_ZERO		(8u | 8u << 8 | 8u << 16 | 1u << 31)
#define EITR			0x00e8
#define ICR_RXQ0		(1u << 20)
#define ICR_TXQ0		(1u << 22)
#define ICR_OTHER		(1u << 24)

/* In units of 256 ns: at most 20,000 interrupts a second [8254x "Interrupt
 * Throttling Register"]. */
#define ITR_VALUE		195u

/* [8254x "Receive Descriptor Status Field", "Errors Field"] */
#define RX_DD			(1u << 0)
#define RX_EOP			(1u << 1)
#define RX_IXSM			(1u << 2)	/* sums not looked at */
#define RX_TCPCS		(1u << 5)
#define RX_BAD			0x97u		/* CE, SE, SEQ, CXE, RXE */
#define RX_BAD_SUM		0x60u		/* TCPE, IPE */

/* [8254x "Legacy Transmit Descriptor Format"] */
#define TX_EOP			(1u << 0)
#define TX_IFCS			(1u << 1)	/* with the check sequence */
#define TX_RS			(1u << 3)	/* say when it is done */
#define TX_DD			(1u << 0)

#define DESCS			256u
#define SLOT_BYTES		2048u		/* RCTL.BSIZE 0 */

enum step { STEP_QUIET, STEP_RESET, STEP_IS_RESET, STEP_WORD };

struct rx_desc {
	uint64_t addr;
	uint16_t length, checksum;
	uint8_t status, errors;
	uint16_t special;
};

struct tx_desc {
	uint64_t addr;
	uint16_t length;
	uint8_t cso, cmd, status, css;
	uint16_t special;
};

_Static_assert(sizeof(struct rx_desc) == 16 && sizeof(struct tx_desc) == 16,
	       "as the card has them");

/* All that the card reads and writes. */
struct shared {
	struct rx_desc rx[DESCS];
	struct tx_desc tx[DESCS];
	uint8_t rx_slots[DESCS][SLOT_BYTES];
	uint8_t tx_slots[DESCS][SLOT_BYTES];
};

struct e1000 {
	struct nic nic;
	struct e1000_regs regs;
	struct shared *shared;
	bool msix;
	unsigned rx_next;		/* the next that will be written */
	unsigned tx_next, tx_done;	/* to fill; to be done with */
	bool too_long;			/* a frame goes on in the next one */
	uint32_t words[3];		/* of the EEPROM: its address */
	unsigned word_count;
};

static struct e1000 *card_of(struct nic *nic)
{
	return (struct e1000 *)nic;
}

static uint32_t in(struct e1000 *card, uint32_t reg)
{
	return mmio_in32(card->regs.base, reg);
}

static void out(struct e1000 *card, uint32_t reg, uint32_t value)
{
	mmio_out32(card->regs.base, reg, value);
}

/* Neither frames nor interrupts. */
static void quiet(struct e1000 *card)
{
	out(card, IMC, ~0u);
	out(card, RCTL, 0);
	out(card, TCTL, 0);
}

static int read_address(struct e1000 *card)
{
	uint32_t low = in(card, RAL), high = in(card, RAH);
	const uint8_t mac[] = {
		(uint8_t)low, (uint8_t)(low >> 8), (uint8_t)(low >> 16),
		(uint8_t)(low >> 24), (uint8_t)high, (uint8_t)(high >> 8),
	};

	if (card->nic.known) {
		return memcmp(mac, card->nic.mac, sizeof(mac)) ? EINVAL : 0;
	}
	if (!(high & RAH_AV) || !nic_address(&card->nic, mac)) {
		card->nic.why = "it has no address";
		return EINVAL;
	}
	return 0;
}

/* A queue's registers. */
static void set_queue(struct e1000 *card, uint32_t base, const void *descs)
{
	uint64_t bus = dma_bus(descs);

	out(card, base, (uint32_t)bus);
	out(card, base + BAH, (uint32_t)(bus >> 32));
	out(card, base + LEN, DESCS * 16);
	out(card, base + HEAD, 0);
	out(card, base + TAIL, 0);
}

static void give_rx(struct e1000 *card, unsigned i)
{
	card->shared->rx[i] = (struct rx_desc){
		.addr = dma_bus(card->shared->rx_slots[i]),
	};
}

/* Which interrupts; for sending, if it was full. */
static uint32_t causes(const struct e1000 *card, bool sending)
{
	if (card->msix) {
		return ICR_RXQ0 | ICR_OTHER | ICR_LSC |
		       (sending ? ICR_TXQ0 : 0);
	}
	return ICR_RXT0 | ICR_RXDMT0 | ICR_RXO | ICR_LSC |
	       (sending ? ICR_TXDW : 0);
}

static void sending_interrupts(struct e1000 *card, bool on)
{
	out(card, on ? IMS : IMC, card->msix ? ICR_TXQ0 : ICR_TXDW);
}

/* [8254x "General Initialization and Reset Operation"] */
static int set_up(struct e1000 *card)
{
	int error = read_address(card);

	if (error != 0) {
		return error;
	}
	card->rx_next = card->tx_next = card->tx_done = 0;
	card->too_long = false;
	memset(card->shared->tx, 0, sizeof(card->shared->tx));
	for (unsigned i = 0; i < DESCS; i++) {
		give_rx(card, i);
	}
	for (unsigned i = 0; i < 128; i++) {
		out(card, MTA + 4 * i, 0);
	}
	set_queue(card, RDBAL, card->shared->rx);
	set_queue(card, TDBAL, card->shared->tx);
	out(card, RDTR, 0);
	out(card, RADV, 0);
	out(card, RXCSUM, RXCSUM_IPOFLD | RXCSUM_TUOFLD);
	out(card, TIPG, TIPG_COPPER);
	out(card, ITR, ITR_VALUE);
	if (card->msix) {
		out(card, IVAR, IVAR_ALL_ZERO);
		out(card, EITR, ITR_VALUE);
	}
	out(card, CTRL, CTRL_FD | CTRL_ASDE | CTRL_SLU);
	out(card, RCTL, RCTL_EN | RCTL_MPE | RCTL_BAM | RCTL_SECRC);
	out(card, RDBAL + TAIL, DESCS - 1);
	out(card, TCTL, TCTL_EN | TCTL_PSP | TCTL_CT | TCTL_COLD);
	(void)in(card, ICR);
	out(card, IMS, causes(card, false));
	return 0;
}

/* An 82540EM whose address the reset has not brought (Bochs's) is asked for what is
 * in its EEPROM [8254x "Software Access"]. */
static int ask_word(struct e1000 *card)
{
	out(card, EERD, EERD_START | EERD_WORD(card->word_count));
	nic_step(&card->nic, STEP_WORD, NIC_START_MS);
	return EAGAIN;
}

static int read_word(struct e1000 *card)
{
	uint32_t value = in(card, EERD);

	if (!(value & EERD_DONE)) {
		return EAGAIN;
	}
	card->words[card->word_count++] = EERD_DATA(value);
	if (card->word_count < 3) {
		return ask_word(card);
	}
	out(card, RAL, card->words[0] | card->words[1] << 16);
	out(card, RAH, card->words[2] | RAH_AV);
	return set_up(card);
}

/* Each step has some milliseconds for the card to end what it does. What a reset
 * leaves as it was, in an emulator or elsewhere, is set anew. */
static int begin(struct nic *nic)
{
	struct e1000 *card = card_of(nic);

	switch (nic->step) {
	case STEP_QUIET:
		quiet(card);
		nic_step(nic, STEP_RESET, NIC_START_MS);
		return EAGAIN;
	case STEP_RESET:
		out(card, CTRL, CTRL_RST);
		nic_step(nic, STEP_IS_RESET, NIC_START_MS);
		return EAGAIN;
	case STEP_IS_RESET:
		if (in(card, CTRL) & CTRL_RST) {
			return EAGAIN;
		}
		quiet(card);
		card->word_count = 0;
		return card->regs.express || in(card, RAH) & RAH_AV ?
		       set_up(card) : ask_word(card);
	case STEP_WORD:
		return read_word(card);
	}
	return EINVAL;
}

static void read_link(struct nic *nic)
{
	nic_link(nic, in(card_of(nic), STATUS) & STATUS_LU);
}

/* What has been sent is free again. */
static void take_back(struct e1000 *card)
{
	unsigned count = 0;

	while (card->tx_done != card->tx_next) {
		volatile struct tx_desc *desc = &card->shared->tx[card->tx_done];

		if (!(desc->status & TX_DD)) {
			break;
		}
		card->tx_done = (card->tx_done + 1) % DESCS;
		count++;
	}
	nic_sent(&card->nic, count);
}

static bool is_full(const struct e1000 *card)
{
	/* one stays free: head and tail are equal in an empty queue */
	return (card->tx_next + 1) % DESCS == card->tx_done;
}

static void tell(struct nic *nic)
{
	struct e1000 *card = card_of(nic);

	out(card, TDBAL + TAIL, card->tx_next);
}

static int send(struct nic *nic, const struct nic_seg *segs, unsigned count,
		size_t len, const struct nic_offload *off, size_t header)
{
	struct e1000 *card = card_of(nic);
	unsigned i = card->tx_next;

	(void)off;
	(void)header;
	take_back(card);
	if (is_full(card)) {
		/* what is done meanwhile is a cause that waits for this */
		sending_interrupts(card, true);
		return ENOBUFS;
	}
	nic_gather(card->shared->tx_slots[i], segs, count, 0, len);
	card->shared->tx[i] = (struct tx_desc){
		.addr = dma_bus(card->shared->tx_slots[i]),
		.length = (uint16_t)len, .cmd = TX_EOP | TX_IFCS | TX_RS,
	};
	card->tx_next = (i + 1) % DESCS;
	if (!nic->held) {
		tell(nic);
	}
	return 0;
}

/* A frame, or a piece of one that is too long for us. */
static void take_frame(struct e1000 *card, unsigned i, uint8_t status)
{
	volatile struct rx_desc *desc = &card->shared->rx[i];
	uint16_t length = desc->length;
	uint8_t errors = desc->errors;
	bool good = !(status & RX_IXSM) && (status & RX_TCPCS) &&
		    !(errors & RX_BAD_SUM);

	if (!(status & RX_EOP) || card->too_long) {
		card->nic.rx_dropped += !card->too_long;
		card->too_long = !(status & RX_EOP);
	} else if (length > SLOT_BYTES) {
		card->nic.nonsense++;
	} else if (errors & RX_BAD) {
		card->nic.errors++;
	} else {
		nic_receive(&card->nic, card->shared->rx_slots[i], length,
			    good ? NIC_RX_CSUM_GOOD : 0);
	}
}

/* Those that the card has written, in order; their places are its own again. */
static void take_frames(struct e1000 *card)
{
	unsigned budget = NIC_BUDGET, i = card->rx_next;
	volatile struct rx_desc *descs = card->shared->rx;

	for (; budget > 0; budget--) {
		uint8_t status = descs[i].status;

		if (!(status & RX_DD)) {
			break;
		}
		mmio_order();
		take_frame(card, i, status);
		give_rx(card, i);
		i = (i + 1) % DESCS;
	}
	card->nic.more = descs[i].status & RX_DD;
	if (i != card->rx_next) {
		card->rx_next = i;
		out(card, RDBAL + TAIL, (i + DESCS - 1) % DESCS);
	}
}

static bool look(struct nic *nic)
{
	struct e1000 *card = card_of(nic);
	uint32_t icr = in(card, ICR);

	/* it is not there any more */
	if (icr == ~0u) {
		nic_lost(nic);
		return false;
	}
	/* Reading clears them, but for where it does not [82574 "Interrupt
	 * Cause Read Register"]. */
	out(card, ICR, icr);
	if (icr & ICR_LSC) {
		read_link(nic);
	}
	take_back(card);
	if (icr & (ICR_TXDW | ICR_TXQ0) && !nic->full) {
		sending_interrupts(card, false);
	}
	take_frames(card);
	return true;
}

/* The bus is taken from it whatever it says. */
static bool stop(struct nic *nic, bool at_last)
{
	struct e1000 *card = card_of(nic);

	(void)at_last;
	quiet(card);
	out(card, CTRL, CTRL_RST);
	card->regs.cut(card->regs.arg);
	return true;
}

/** See e1000.h. It is not started yet. */
struct nic *e1000_new(const struct e1000_regs *regs, bool msix)
{
	static const struct nic_ops ops = {
		.begin = begin, .send = send, .tell = tell, .look = look,
		.link = read_link, .stop = stop,
	};
	struct e1000 *card = calloc(1, sizeof(*card));

	if (!card) {
		return NULL;
	}
	card->shared = dma_alloc(sizeof(*card->shared), 4096);
	if (!card->shared) {
		free(card);
		return NULL;
	}
	card->regs = *regs;
	card->msix = msix;
	nic_init(&card->nic, &ops);
	card->nic.model = regs->express ? "Intel 82574L" : "Intel 82540EM";
	return &card->nic;
}
