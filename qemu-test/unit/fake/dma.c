/* SPDX-License-Identifier: MIT */
/* Memory that devices reach: any. */
#include <stdlib.h>
#include <string.h>

#include "host-bridge/dev/dma.h"

void *dma_alloc(size_t size, size_t align)
{
	void *memory = aligned_alloc(align, size);

	return memory != NULL ? memset(memory, 0, size) : NULL;
}

void dma_free(void *memory, size_t size)
{
	(void)size;
	free(memory);
}
