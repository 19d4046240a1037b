/* SPDX-License-Identifier: MIT */
/*
 * Room rt: the ground under the program. Its entry, the processor's tables, the
 * end by a crash, hypercalls, what the C library asks for, the way of text out
 * (sink.h), lines that come by themselves (notice.h, stage.h), and what boot/
 * handed over (config.h). No policy: it knows of no device and of no Linux.
 * Trusts the hypervisor and boot/. Includes nothing of the other rooms.
 *
 * The processor's tables, and the end of the program.
 */
#ifndef ISTHMUS_CPU_H
#define ISTHMUS_CPU_H

#include <stdint.h>

struct host_info;

/* Own page tables, GDT, TSS and IDT: from here a NULL pointer, a write to
 * code or constants and a stack overflow are exceptions with a dump. */
void cpu_init(const struct host_info *info);

/* The program cannot go on: prints "isthmus: FAILED stage CODE NAME: " and
 * the text, and stops the host partition's processor for ever. */
void cpu_fatal(const char *fmt, ...)
	__attribute__((noreturn, format(printf, 1, 2)));

#endif
