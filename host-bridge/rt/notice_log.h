/* SPDX-License-Identifier: MIT */
/* The last notices: see notice_log.c. */
#ifndef ISTHMUS_NOTICE_LOG_H
#define ISTHMUS_NOTICE_LOG_H

#include <stddef.h>
#include <stdint.h>

#define NOTICE_LOG	32768u	/* bytes; a power of two */

/* From now on they are kept. */
void notice_log_init(void);
/* As hv_log_read(), but begins with a whole line. */
size_t notice_log_read(void *arg, uint64_t *at, char *buf, size_t size);

#endif
