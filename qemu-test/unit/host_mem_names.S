/* SPDX-License-Identifier: MIT */
/* host-bridge's memory functions under names that do not clash. */
#define memcpy host_memcpy
#define memmove host_memmove
#define memset host_memset
#include "host-bridge/rt/mem.S"
