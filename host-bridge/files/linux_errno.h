/* SPDX-License-Identifier: MIT */
/* Error numbers on the wire are Linux's, whatever this program's C library calls
 * them. */
#ifndef ISTHMUS_LINUX_ERRNO_H
#define ISTHMUS_LINUX_ERRNO_H

#include <stdint.h>

int32_t linux_errno(int error);
int linux_errno_from(uint32_t number);

#endif
