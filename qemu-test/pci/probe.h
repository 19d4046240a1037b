/* SPDX-License-Identifier: MIT */
/* Between the probe's files. */
#ifndef ISTHMUS_TEST_PROBE_H
#define ISTHMUS_TEST_PROBE_H

#include <stdint.h>

#include "host-bridge/dev/pci.h"
#include "host-bridge/rt/hc.h"

/* One result, for the test that reads our line. */
void probe_say(const char *what, int64_t result);
/* All accesses that the first IOMMU has blocked. */
uint64_t probe_blocked(void);
/* Our program and its constants, in one number. */
uint32_t probe_canary(void);

/* storm.c: an NVMe controller as the enemy. */
void storm_try(struct pci_dev *dev, const struct hc_regs *pool);

#endif
