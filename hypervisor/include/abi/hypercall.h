/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Hypercalls: VMCALL (VT-x) or VMMCALL (AMD-V) from CPL 0 in 64-bit mode;
 * anything else gets #UD. RAX = number; arguments in RDI, RSI, RDX, R10, R8.
 * On return RAX = status (0 or a negative HC_E*), results in RDI, RSI, RDX,
 * R10, R8 where the call has some; registers it does not name as results
 * are unchanged. Arguments are values, never pointers into guest memory.
 *
 * [H]: only the host partition; others get HC_EPERM.
 */
#ifndef ISTHMUS_ABI_HYPERCALL_H
#define ISTHMUS_ABI_HYPERCALL_H

#define HC_ABI_VERSION		1

enum hypercall {
	/* -> RDI = ABI version, RSI = own partition id, RDX = TSC Hz,
	 *    R10 = number of CPUs, R8 = number of partitions */
	HC_INFO = 0,
	/* RDI = deadline in own TSC (0: do not block, ~0: no deadline)
	 * -> RDI = event bits, taken and cleared. Blocks while there are
	 * none and the deadline has not passed. [H] */
	HC_WAIT = 1,
	/* -> RDI = handle, RSI = struct ioreq word, RDX = value written,
	 *    R10 = RIP; HC_ENOENT: none pending [H] */
	HC_IOREQ_GET = 2,
	/* RDI = handle, RSI = value read (for an input); resumes that vCPU
	 * [H] */
	HC_IOREQ_DONE = 3,
	/* RDI = partition, RSI = own GPA, RDX = its GPA, R10 = pages of 4 KiB
	 * (<= HC_DONATE_MAX). Pages leave the caller: its GPA is populated
	 * anew when touched. The partition must be stopped. [H] */
	HC_MEM_DONATE = 4,
	/* RDI = partition, RSI = RIP, RDX = CR3, R10 = RSI, R8 = GPA of GDT.
	 * vCPU 0 enters 64-bit mode: see struct boot_partition. [H] */
	HC_PARTITION_START = 5,
	/* RDI = partition. Stops its vCPUs, takes back all its memory, resets
	 * its channels with a new generation. HC_EAGAIN: call again. [H] */
	HC_PARTITION_STOP = 6,
	/* RDI = enum hc_query, RSI, RDX = index -> RDI.. as listed there [H] */
	HC_QUERY = 7,
	/* RDI = cursor (bytes since boot) -> RDI = next cursor, RSI = bytes
	 * (0..24) in RDX, R10, R8. Text lost to the ring is skipped. [H] */
	HC_LOG_READ = 8,
	/* RDI = channel, the caller's first being 0: raise the doorbell of the
	 * other end */
	HC_DOORBELL = 9,
	/* RDI = channel, RSI = own state word for the state table */
	HC_CHANNEL_STATE = 10,
	/* RDI = own line, RSI = 1 unmask (level: also after service), 0 mask
	 * [H] */
	HC_IRQ = 11,
	/* RDI = enum hc_pci, RSI = address of an own function, and more as
	 * listed there [H] */
	HC_PCI = 12,
	/* RDI, RSI, RDX, R10, R8 = blocks of own RAM that are of no use now, or
	 * 0: GPA, a multiple of 2 MiB, + number of 2 MiB (<= HC_RELEASE_UNITS).
	 * When this is HC_OK their content is lost, and they are populated anew
	 * when touched. HC_EAGAIN: call again. */
	HC_MEM_RELEASE = 13,
	/* RDI = enum hc_fork, RSI = partition, and more as listed there [H] */
	HC_FORK = 14,
	/* RDI = UTC in ns since 1970 at TSC 0 of the caller's, modulo 2^64:
	 * what the clocks of partitions tell from now on. HC_EINVAL: it is
	 * later than 2^32 s after 1970 now [H] */
	HC_CLOCK = 15,
	HC_COUNT
};

#define HC_DONATE_MAX		512u
#define HC_RELEASE_BLOCKS	5
#define HC_RELEASE_UNITS	16u

/* Status (RAX). */
#define HC_OK		0
#define HC_EINVAL	(-1)	/* an argument is outside its range */
#define HC_EPERM	(-2)	/* not for this partition */
#define HC_ENOENT	(-3)	/* no such thing, or nothing pending */
#define HC_EBUSY	(-4)	/* wrong state: running, or not running */
#define HC_ENOMEM	(-5)	/* the page pool or the cap is exhausted */
#define HC_EAGAIN	(-6)	/* part done: call again with the same args */
#define HC_ENOSYS	(-7)	/* no such hypercall */

/* Event bits of HC_WAIT. */
#define HC_EVENT_IOREQ		(1ull << 0)
#define HC_EVENT_PARTITION	(1ull << 1)	/* some state changed: query */
#define HC_EVENT_LOG		(1ull << 2)	/* new text in the log */
/* Own channel c, or another one that shares the bit: look at each. */
#define HC_EVENT_DOORBELL(c)	(1ull << (8 + (c) % 8))
#define HC_EVENT_STATE(c)	(1ull << (16 + (c) % 8)) /* peer's state word */
#define HC_EVENT_IRQ(l)		(1ull << (32 + (l)))	/* own line 0..31 */

/* Lines below are the manifest's, I/O APIC inputs; these are messages of PCI
 * functions: HC_PCI_MSI. */
#define HC_LINE_MSI		16u
#define HC_LINES		32u

/* The ioreq word (RSI of HC_IOREQ_GET): an I/O port access of 1, 2, 4 bytes.
 * Handle = partition << 16 | vCPU. */
#define HC_IOREQ_PORT(w)	((unsigned)((w) & 0xffff))
#define HC_IOREQ_SIZE(w)	((unsigned)(((w) >> 16) & 7))
#define HC_IOREQ_IN		(1ull << 20)

/* Partition states. */
enum hc_state {
	HC_STATE_STOPPED = 0,	/* owns nothing beyond donations: may start */
	HC_STATE_RUNNING = 1,
	HC_STATE_CRASHED = 2,	/* killed: reason set; HC_PARTITION_STOP next */
	HC_STATE_STOPPING = 3,
	HC_STATE_FROZEN = 4,	/* a template: never runs again */
};

enum hc_fork {
	/* RSI = a running partition, which becomes a template. HC_EAGAIN: call
	 * again */
	HC_FORK_FREEZE = 0,
	/* RSI = template, RDX = a stopped partition of the same shape, which
	 * runs on from where the template was */
	HC_FORK_CHILD = 1,
	/* RSI = a stopped partition, which becomes a template with what it has
	 * been given; HC_EAGAIN: HC_FORK_FREEZE until HC_OK */
	HC_FORK_RESTORE = 2,
	/* RSI = template, RDX = its GPA, or HC_FORK_RECORD | a page of its record
	 * (2 for each vCPU), R10 = own GPA, where that page's content is then
	 * -> of memory RDI = where to go on, RSI = 1, 0: nothing was there; of
	 * the record RDX = its start in host TSC */
	HC_FORK_READ = 3,
	/* RSI = template without children, RDX = as above, a page of its record,
	 * R10 = own GPA, which has it, R8 = its start in host TSC */
	HC_FORK_WRITE = 4,
};

#define HC_FORK_RECORD	(1ull << 63)
/* Of a record's layout: another one may be nothing to this hypervisor. */
#define HC_RECORD_VERSION	1u

enum hc_reason {
	HC_REASON_NONE = 0,
	HC_REASON_TRIPLE_FAULT = 1,
	HC_REASON_GPM_FAULT = 2,	/* touched memory it does not have */
	HC_REASON_ENTRY_FAILED = 3,
	HC_REASON_UNKNOWN_EXIT = 4,
	HC_REASON_NO_MEMORY = 5,
	HC_REASON_HOST_REQUEST = 6,
	HC_REASON_BAD_INSTRUCTION = 7,	/* LAPIC access by no plain MOV */
	HC_REASON_MACHINE_CHECK = 8,	/* the machine failed while it ran */
};

enum hc_query {
	/* index = partition -> RDI = hc_state, RSI = hc_reason, RDX = RIP at
	 * a crash, R10 = detail (GPA, exit code), R8 = start count */
	HC_QUERY_STATE = 0,
	/* index = partition -> RDI = bytes owned, RSI = cap, RDX = bytes ever
	 * populated, R10 = vCPUs, R8 = uptime in TSC ticks */
	HC_QUERY_MEMORY = 1,
	/* index = partition, RDX = enum vm_exit_code -> RDI = count,
	 * RSI, RDX = name, 16 bytes; HC_ENOENT past the last */
	HC_QUERY_EXITS = 2,
	/* index = CPU -> RDI = ticks idle, RSI = ticks in guests, RDX = ticks
	 * since boot, R10 = APIC id */
	HC_QUERY_CPU = 3,
	/* index = owner number 0.. -> RDI = bytes, RSI, RDX = name (16 bytes);
	 * HC_ENOENT past the last. Owners: free, hypervisor, channels, then
	 * each partition; their bytes are those of when number 0 was asked
	 * for last */
	HC_QUERY_OWNER = 4,
	/* index = partition -> RDI, RSI = name, RDX = vCPUs, R10 = flags */
	HC_QUERY_NAME = 5,
	/* index = own channel -> RDI = generation, RSI = own peer number 0/1,
	 * RDX = output section size, R10 = doorbells sent, R8 = received */
	HC_QUERY_CHANNEL = 6,
	/* index = partition -> RDI = bytes that it can own whatever others do,
	 * tables included, RSI = bytes that it owns */
	HC_QUERY_SURE = 7,
	/* index = IOMMU -> RDI = enum hc_iommu, HC_IOMMU_* bits, RSI = address
	 * of its registers, RDX = accesses that it has blocked and recorded; of the last
	 * of them R10 = function, HC_IOMMU_* bits, R8 = address; HC_ENOENT
	 * past the last */
	HC_QUERY_IOMMU = 8,
	/* index is not looked at: whether partitions are apart -> RDI = 0: they
	 * are, 1: they are not, and the log says why, RSI = address and RDX = value
	 * of what is wrong, R10 = number of the manifest's meaning, R8 = pages of
	 * RAM */
	HC_QUERY_ISOLATION = 9,
	/* index = partition, RDX = its GPA -> of what is mapped from there on
	 * RDI = GPA, RSI = bytes, RDX = host-physical address, R10 = 1 to read,
	 * 2 to write, 4 to execute; HC_ENOENT past the last */
	HC_QUERY_MAP = 10,
};

enum hc_iommu {
	HC_IOMMU_NONE = 0,	/* devices reach all memory */
	HC_IOMMU_ON = 1,	/* they reach what they have been given */
	HC_IOMMU_FAILED = 2,	/* it does not answer: no device is given */
};

#define HC_IOMMU_INTERRUPTS	(1ull << 8)	/* checked, too */
#define HC_IOMMU_AMD		(1ull << 9)	/* else Intel's */
#define HC_IOMMU_OVERFLOWS	32		/* bits from here on: times that it had
						 * more than its record holds */
#define HC_IOMMU_WRITE		(1ull << 32)	/* else it read */
#define HC_IOMMU_MESSAGE	(1ull << 33)	/* a forged interrupt */

/* Functions of PCI that the caller owns. An address is segment << 16 | bus << 8
 * | device << 3 | function; HC_ENOENT: it is no function of the caller's. */
enum hc_pci {
	/* RSI = index 0.. -> RDI = address, RSI = register 0 (ids) | register
	 * 8 (class) << 32, RDX = messages it can send (0: none), R10 = lines
	 * of an IDE controller that works as an ISA device: 1 + line of the
	 * first channel | 1 + line of the second << 8, of a function without
	 * messages 1 + line; HC_ENOENT past the last */
	HC_PCI_FUNCTION = 0,
	/* RDX = offset, R10 = size (1, 2, 4) -> RDI = value */
	HC_PCI_READ = 1,
	/* RDX = offset, R10 = size, R8 = value; HC_EPERM: not these bytes */
	HC_PCI_WRITE = 2,
	/* RDX = BAR 0..5 -> RDI = BOOT_BAR_* flags, RSI = GPA or first port,
	 * RDX = size. The function answers there from now on. HC_ENOENT: it
	 * has no such BAR, or one that it may not have */
	HC_PCI_BAR = 3,
	/* RDX = message 0.., R10 = own line HC_LINE_MSI.. that it raises,
	 * of no other function;
	 * HC_PCI_NO_LINE: none. HC_EBUSY: no message reaches this CPU */
	HC_PCI_MSI = 4,
	/* RDX = 1: it may read and write memory by itself, under an IOMMU the
	 * DMA pool only; 0: no more. HC_EBUSY: the IOMMU does not let it, or
	 * does not answer: what it reached must not be used any more;
	 * HC_EINVAL: there is no pool that an IOMMU could show it */
	HC_PCI_MASTER = 5,
	/* A function-level reset; HC_EAGAIN: call again, 100 ms must pass;
	 * HC_ENOSYS: it has none; HC_EBUSY: it is bus master */
	HC_PCI_RESET = 6,
	/* RSI is not looked at -> RDI = GPA of the DMA pool, RSI = bytes, RDX =
	 * its address for functions, R10 = 1: an IOMMU lets them reach nothing
	 * else. HC_ENOENT: there is no pool */
	HC_PCI_DMA = 7,
};

#define HC_PCI_NO_LINE	(~0ull)

#endif
