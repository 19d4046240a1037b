/* SPDX-License-Identifier: MIT */
/*
 * Memory that devices may read and write: a pool of fixed size ("dma-mib" of the
 * manifest), below 4 GiB for them. A device may write anywhere in it, at any time,
 * as long as it is bus master: what is read from it is the device's word.
 *
 * In whole pages of 4 KiB: who needs many small pieces divides pages himself.
 */
#ifndef ISTHMUS_DMA_H
#define ISTHMUS_DMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Before all others. */
void dma_init(void);
/* size bytes, contiguous for the device too, all zero, at a multiple of align (a
 * power of two); NULL: there is no such piece left. */
void *dma_alloc(size_t size, size_t align);
/* With the size that it was asked for with; NULL is nothing. No device may know
 * its address any more. */
void dma_free(void *memory, size_t size);
/* The address that a device is given for a byte of the pool. */
uint64_t dma_bus(const void *memory);

size_t dma_size(void);
size_t dma_room(void);		/* bytes that are free */
/* Whether an IOMMU keeps devices from all else. */
bool dma_guarded(void);

#endif
