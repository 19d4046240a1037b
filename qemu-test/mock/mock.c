/* SPDX-License-Identifier: MIT */
/*
 * A stand-in for boot/ and the hypervisor, linked into host-bridge: enough
 * hypercalls to bring up the console and to load a Linux that then never
 * runs. Interrupt lines are polled at the serial ports themselves.
 */
#include <string.h>

#include "proto/host_info.h"
#include "abi/hypercall.h"
#include "drivers/portio.h"

#define TSC_HZ		1000000000ull
#define RAM_END		(128ull << 20)
#define LINUX_CAP	(256ull << 20)
#define VOLUME_GPA	0x70000000ull
#define COM1		0x3f8
#define COM2		0x2f8
#define UART_IIR	2
#define IIR_NONE	0x01

struct regs {
	uint64_t rdi, rsi, rdx, r10, r8;
};

/* [Xen "hvm_start_info"] */
struct start_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list;
};

struct module_entry {
	uint64_t address, size;
};

const struct host_info *mock_boot(const struct start_info *start);
int64_t mock_hypercall(enum hypercall nr, struct regs *regs);

extern const uint8_t mock_manifest[], mock_manifest_end[];

static uint64_t linux_state;
static uint64_t donated_pages;

static void add_module(struct host_info *info, const char *name, uint64_t at,
		       uint64_t size)
{
	struct host_module *module = &info->modules[info->module_count++];

	strcpy(module->name, name);
	module->gpa = at;
	module->size = size;
}

/* The emulator's initrd serves as kernel, initrd and volume: what it really
 * is decides which of them is broken. Without one the manifest is broken too:
 * host-bridge must do without all of them. */
const struct host_info *mock_boot(const struct start_info *start)
{
	struct host_info *info = (void *)HOST_INFO_GPA;
	const struct module_entry *module = (void *)start->module_list;

	memset(info, 0, sizeof(*info));
	info->magic = HOST_INFO_MAGIC;
	info->version = HOST_INFO_VERSION;
	info->size = sizeof(*info);
	info->tsc_hz = TSC_HZ;
	info->ram_end = RAM_END;
	info->manifest_gpa = (uintptr_t)mock_manifest;
	info->uart = (struct boot_uart){ .base = COM1, .divisor = 1 };
	info->machine_cpus = 1;
	info->machine_memory = 2ull << 30;
	strcpy(info->platform, "mock");
	if (start->modules > 0) {
		info->manifest_size = (uint64_t)(mock_manifest_end -
						 mock_manifest);
		/* Modules live on their own 2 MiB pages. */
		memcpy((void *)HOST_MODULE_GPA, (void *)module->address,
		       module->size);
		memcpy((void *)VOLUME_GPA, (void *)module->address,
		       module->size);
		add_module(info, "kernel", HOST_MODULE_GPA, module->size);
		add_module(info, "volume", VOLUME_GPA, module->size);
	}
	return info;
}

static uint64_t tsc(void)
{
	return __builtin_ia32_rdtsc();
}

static uint64_t wait(uint64_t deadline)
{
	uint64_t events;

	do {
		events = 0;
		if (!(port_in8(COM1 + UART_IIR) & IIR_NONE)) {
			events |= HC_EVENT_IRQ(0);
		}
		if (!(port_in8(COM2 + UART_IIR) & IIR_NONE)) {
			events |= HC_EVENT_IRQ(1);
		}
	} while (!events && tsc() < deadline);
	return events;
}

static void set_name(uint64_t *lo, uint64_t *hi, const char *name)
{
	char text[16] = { 0 };

	memcpy(text, name, strlen(name));
	memcpy(lo, text, 8);
	memcpy(hi, text + 8, 8);
}

static int64_t query(struct regs *r)
{
	static const char *const names[] = { "host", "linux" };
	uint64_t what = r->rdi, index = r->rsi;

	if (index > 1) {
		return HC_ENOENT;
	}
	switch (what) {
	case HC_QUERY_STATE:
		*r = (struct regs){
			.rdi = index ? linux_state : HC_STATE_RUNNING
		};
		return HC_OK;
	case HC_QUERY_MEMORY:
		*r = (struct regs){ index ? donated_pages << 12 : RAM_END,
				    index ? LINUX_CAP : RAM_END, 0, 1, tsc() };
		return HC_OK;
	case HC_QUERY_NAME:
		*r = (struct regs){ .rdx = 1 };
		set_name(&r->rdi, &r->rsi, names[index]);
		return HC_OK;
	case HC_QUERY_SURE:
		*r = (struct regs){ .rdi = RAM_END };
		return HC_OK;
	default:
		return HC_ENOENT;
	}
}

/* The pages must come back as zeros. */
static int64_t donate(struct regs *r)
{
	if (r->r10 == 0 || r->r10 > HC_DONATE_MAX || r->rdi != 1) {
		return HC_EINVAL;
	}
	memset((void *)r->rsi, 0, r->r10 << 12);
	donated_pages += r->r10;
	return HC_OK;
}

int64_t mock_hypercall(enum hypercall nr, struct regs *r)
{
	switch (nr) {
	case HC_WAIT:
		r->rdi = wait(r->rdi);
		return HC_OK;
	case HC_MEM_DONATE:
		return donate(r);
	case HC_PARTITION_START:
		linux_state = HC_STATE_RUNNING;
		return HC_OK;
	case HC_PARTITION_STOP:
		linux_state = HC_STATE_STOPPED;
		donated_pages = 0;
		return HC_OK;
	case HC_QUERY:
		return query(r);
	case HC_IRQ:
		return HC_OK;
	default:
		return HC_ENOENT;
	}
}
