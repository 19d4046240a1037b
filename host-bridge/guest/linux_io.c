/* SPDX-License-Identifier: MIT */
/*
 * Port accesses of Linux: serial port, PCI configuration, power registers.
 * Anything else that the manifest forwards has no device: all ones. Linux is
 * not trusted: every value is good here, and none leads outside the models.
 *
 * The vCPU stands still from the access to the answer. Output for the second
 * serial line is answered when that line can take it: a Linux that prints
 * without end slows itself, and nobody else. All from the loop's handlers; the
 * models need no lock.
 */
#include <stdio.h>
#include <string.h>

#include "abi/channel.h"
#include "host-bridge/dev/serial.h"
#include "host-bridge/guest/linux_acpi.h"
#include "host-bridge/guest/linux_io.h"
#include "host-bridge/loop/loop.h"
#include "host-bridge/rt/hc.h"

/* Port accesses answered in one turn of the loop: twice as many as Linux can
 * have vCPUs. */
#define TURN_ACCESSES	16u

/* A register of its own, though the address register of PCI lies around it.
 * [Intel ICH9 "RST_CNT - Reset Control Register"] */
#define CHIPSET_RESET		0xcf9u
#define CHIPSET_RESET_CPU	0x04u

/* All of them: accesses of every partition come by one event. */
static struct linux_io *all;

/* What there is of a line, under the name of who printed it. */
static void line_out(struct linux_io *io)
{
	char head[BOOT_NAME_LEN + 3];
	int len = snprintf(head, sizeof(head), "%s: ", io->want->name);

	serial_write(SERIAL_LINUX, head, (size_t)len);
	serial_write(SERIAL_LINUX, io->line, io->line_len);
	if (io->line[io->line_len - 1] != '\n') {
		serial_write(SERIAL_LINUX, "\r\n", 2);
	}
	io->line_len = 0;
}

static void log_byte(struct linux_io *io, char byte)
{
	io->log[io->log_end++ % LINUX_LOG_SIZE] = byte;
	if (!io->want->several) {
		serial_write(SERIAL_LINUX, &byte, 1);
	} else {
		io->line[io->line_len++] = byte;
		if (byte == '\n' || io->line_len == LINUX_LINE) {
			line_out(io);
		}
	}
	if (linux_says(&io->says, byte)) {
		io->said(io->arg, io->says.reason);
	}
}

/**
 * See linux_io.h. Bytes that were overwritten
 * are skipped. The text is Linux's: any bytes.
 */
size_t linux_io_log(void *arg, uint64_t *at, char *buf, size_t size)
{
	const struct linux_io *io = arg;
	size_t n = 0;

	if (io->log_end - *at > LINUX_LOG_SIZE) {
		*at = io->log_end - LINUX_LOG_SIZE;
	}
	while (n < size && *at < io->log_end) {
		buf[n++] = io->log[(*at)++ % LINUX_LOG_SIZE];
	}
	return n;
}

/* A write to the reset or sleep register: what does Linux want?
 * [ACPI 6.3 "Sleep Control and Status Registers"] */
static enum linux_request power_write(unsigned port, uint32_t value)
{
	if (port == LINUX_PORT_RESET && value == LINUX_RESET_VALUE) {
		return LINUX_REQUEST_RESET;
	}
	if (port == LINUX_PORT_SLEEP_CTL && (value & LINUX_SLEEP_ENABLE) &&
	    LINUX_SLEEP_TYPE(value) == LINUX_SLEEP_S5) {
		return LINUX_REQUEST_POWER_OFF;
	}
	return LINUX_REQUEST_NONE;
}

/* An input: the value, of which the hypervisor takes as many bytes as the
 * access has. A UART has registers of one byte; wider reads find nothing. */
static uint64_t port_in(struct linux_io *io, unsigned port, unsigned size)
{
	if (port >= PCI_MODEL_PORT && port <= PCI_MODEL_PORT_LAST) {
		return pci_model_in(&io->pci, port, size);
	}
	if (port >= UART_MODEL_PORT && port <= UART_MODEL_PORT_LAST &&
	    size == 1) {
		return uart_model_in(&io->uart, port);
	}
	if (port >= LINUX_PORT_POWER && port <= LINUX_PORT_POWER_LAST) {
		/* Sleep status: no wake event. The others are write-only. */
		return 0;
	}
	return ~0ull;
}

/* An output; its result says whether Linux may go on. */
static enum linux_request port_out(struct linux_io *io, unsigned port,
				   unsigned size, uint32_t value)
{
	if (port == CHIPSET_RESET && size == 1) {
		return value & CHIPSET_RESET_CPU ? LINUX_REQUEST_RESET :
						   LINUX_REQUEST_NONE;
	} else if (port >= PCI_MODEL_PORT && port <= PCI_MODEL_PORT_LAST) {
		pci_model_out(&io->pci, port, size, value);
	} else if (port >= UART_MODEL_PORT && port <= UART_MODEL_PORT_LAST &&
		   size == 1) {
		int byte = uart_model_out(&io->uart, port,
					  (uint8_t)value);

		if (byte >= 0) {
			log_byte(io, (char)byte);
		}
	} else if (port >= LINUX_PORT_POWER && port <= LINUX_PORT_POWER_LAST &&
		   size == 1) {
		return power_write(port, value & 0xff);
	}
	return LINUX_REQUEST_NONE;
}

/* The devices of a partition, or NULL: it is none of ours. */
static struct linux_io *find(uint64_t partition)
{
	struct linux_io *io = all;

	while (io && io->want->id != partition) {
		io = io->next;
	}
	return io;
}

/* The next program finds the devices as they are now. */
static void keep(struct linux_io *io)
{
	if (io->saved != NULL) {
		linux_io_save(io, io->saved);
	}
}

/* Answers an access; io is its partition's, NULL: it was not loaded by us, and
 * finds no devices. */
static void serve(struct linux_io *io, const struct hc_ioreq *req)
{
	unsigned port = HC_IOREQ_PORT(req->word);
	unsigned size = HC_IOREQ_SIZE(req->word);
	uint64_t value = ~0ull;

	if (io && (req->word & HC_IOREQ_IN)) {
		value = port_in(io, port, size);
		keep(io);
	} else if (io) {
		enum linux_request asked =
			port_out(io, port, size, (uint32_t)req->value);

		if (asked != LINUX_REQUEST_NONE) {
			/* The partition is gone, or is another start of it,
			 * when this returns: what was pending of it is too. */
			io->asked(io->arg, asked);
			return;
		}
		keep(io);
	}
	(void)hc_ioreq_done(req->handle, value);
}

/* Whether an access has to wait for the second serial line, and now does. The
 * vCPU has no other one until then, so there is always room to note it. */
static bool wait_for_line(struct linux_io *io, const struct hc_ioreq *req)
{
	if (!io || (req->word & HC_IOREQ_IN) ||
	    HC_IOREQ_PORT(req->word) != UART_MODEL_PORT ||
	    !serial_busy(SERIAL_LINUX) || io->waiting_count == LINUX_VCPUS) {
		return false;
	}
	io->waiting[io->waiting_count++] = *req;
	return true;
}

/* The line can take more. */
static void on_drained(void *arg)
{
	(void)arg;
	for (struct linux_io *io = all; io; io = io->next) {
		unsigned count = io->waiting_count;

		io->waiting_count = 0;
		for (unsigned i = 0; i < count; i++) {
			serve(io, &io->waiting[i]);
		}
	}
}

/* Several vCPUs may have an access pending: takes what there is, for the bit
 * comes once. A vCPU on another CPU may have its next one ready before we ask
 * again: after some, the rest waits for the next turn, so that such a Linux
 * holds up nobody else. The hypervisor gives each access out once, with its
 * size and direction; they are believed, the value is not. */
static void on_ioreq(void *arg)
{
	struct hc_ioreq req;

	(void)arg;
	for (unsigned n = 0; n < TURN_ACCESSES; n++) {
		struct linux_io *io;

		if (hc_ioreq_get(&req) != HC_OK) {
			return;
		}
		io = find(req.handle >> 16);
		if (!wait_for_line(io, &req)) {
			serve(io, &req);
		}
	}
	loop_again(HC_EVENT_IOREQ);
}

/**
 * Fresh devices for a fresh Linux, its channels among them by its own numbers.
 */
void linux_io_reset(struct linux_io *io)
{
	io->says = (struct linux_says){ 0 };
	/* Of a start that is over: nobody is to be answered. */
	io->waiting_count = 0;
	if (io->line_len > 0) {
		line_out(io);
	}
	uart_model_reset(&io->uart);
	pci_model_reset(&io->pci);
	for (unsigned c = 0; c < io->want->channel_count; c++) {
		const struct config_channel *channel = &io->want->channels[c];

		pci_model_add_channel(&io->pci, CHANNEL_REGION_SIZE(
			channel->output_size), channel->host);
	}
	keep(io);
}

/**
 * Devices as another Linux, with as many and such channels, has set up its own.
 */
void linux_io_copy(struct linux_io *io, const struct linux_io *of)
{
	linux_io_reset(io);
	io->uart = of->uart;
	io->pci = of->pci;
	keep(io);
}

/** See linux_io.h. */
void linux_io_save(const struct linux_io *io, uint8_t saved[])
{
	size_t n = uart_model_save(&io->uart, saved);

	pci_model_save(&io->pci, saved + n);
}

/** See linux_io.h. */
void linux_io_restore(struct linux_io *io, const uint8_t saved[])
{
	size_t n;

	linux_io_reset(io);
	n = uart_model_restore(&io->uart, saved);
	pci_model_restore(&io->pci, saved + n);
	keep(io);
}

/**
 * Takes the ioreq event, and asked for what Linux writes to its power
 * registers: called in a handler. Once for each, before linux_start().
 */
void linux_io_init(struct linux_io *io, const struct config_guest *want,
		   void (*asked)(void *arg, enum linux_request request),
		   void (*said)(void *arg, const char *reason), void *arg)
{
	io->want = want;
	io->asked = asked;
	io->said = said;
	io->arg = arg;
	io->next = all;
	all = io;
	loop_on_event(HC_EVENT_IOREQ, on_ioreq, NULL);
	serial_on_drained(SERIAL_LINUX, on_drained, NULL);
	linux_io_reset(io);
}
