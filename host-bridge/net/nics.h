/* SPDX-License-Identifier: MIT */
/*
 * The machine's network cards: found at start-up, named, started. Each says in one
 * line what it is when its link is up, or is not after some time.
 */
#ifndef ISTHMUS_NICS_H
#define ISTHMUS_NICS_H

#include "drivers/nic.h"

/* Finds and starts them, and waits for that, two seconds at most, not for a link.
 * After pci_init() and dma_init(). */
void nics_init(void);
/* In the order in which they were found, ready or not: see its state. NULL: no
 * more. */
struct nic *nics_get(unsigned index);

/* For nics_pci.c: one that a driver has made, not started yet. */
void nics_add(struct nic *nic);
/* nics_pci.c: gives nics_add() all that it finds. */
void nics_probe(void);

#endif
