/* SPDX-License-Identifier: MIT */
/*
 * Bounded text formatting for the messages of the loader and the hypervisor: no
 * allocation, no locale, nothing called. Formats are the program's own.
 */
#ifndef ISTHMUS_TEXT_FMT_H
#define ISTHMUS_TEXT_FMT_H

#include <stdarg.h>
#include <stddef.h>

size_t fmt_va(char *buf, size_t size, const char *format, va_list ap);
size_t fmt(char *buf, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
