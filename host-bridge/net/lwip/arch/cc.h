/* SPDX-License-Identifier: MIT */
/*
 * What lwIP asks of the compiler and of who uses it [lwIP "Porting (system
 * abstraction layer)"]. Integer types and byte order are as its own arch.h guesses
 * them.
 */
#ifndef ISTHMUS_LWIP_CC_H
#define ISTHMUS_LWIP_CC_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>

/* Of lwIP's own checks, that fail only if it, or who uses it, is wrong: the end. */
void lwip_port_fail(const char *what) __attribute__((noreturn));
/* For ports, for what DNS, DHCP and TCP number: nobody can foresee it. */
uint32_t lwip_port_random(void);

#define LWIP_PLATFORM_DIAG(x)	do { } while (0)
#define LWIP_PLATFORM_ASSERT(x)	lwip_port_fail(x)
#define LWIP_RAND()		lwip_port_random()
/* ssize_t is there, though newlib does not tell its limit. */
#ifndef SSIZE_MAX
#define SSIZE_MAX		LONG_MAX
#endif

#endif
