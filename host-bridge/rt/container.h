/* SPDX-License-Identifier: MIT */
/* From a part of an object, as lists and callbacks have it, to the object. */
#ifndef ISTHMUS_CONTAINER_H
#define ISTHMUS_CONTAINER_H

#include <stddef.h>

#define CONTAINER(part, type, member)					\
	((type *)((char *)(part) - offsetof(type, member)))

#endif
