/* SPDX-License-Identifier: MIT */
/*
 * Shared by the two halves of the manifest decoder: manifest_props.c checks
 * and stores properties by tables, manifest_decode.c has the tables and the
 * rest.
 */
#ifndef ISTHMUS_BOOT_MANIFEST_IMPL_H
#define ISTHMUS_BOOT_MANIFEST_IMPL_H

#include <stddef.h>

#include "manifest.h"

enum prop_kind {
	PROP_FLAG,	/* no value: bool, if it has a place */
	PROP_U32,	/* one number, min..max: uint32_t */
	PROP_PAIR,	/* two numbers, each min..max: uint32_t[2] */
	PROP_STRING,	/* min..max printable characters: const char * */
	PROP_TEXT,	/* min..max characters of any kind; not stored */
	PROP_BYTES,	/* min bytes: const uint8_t * */
	PROP_MODULE,	/* the name of a module: uint32_t, its index */
	PROP_PORTS,	/* pairs: into the partition's ports */
	PROP_FORWARD,	/* pairs: the same, forwarded */
	PROP_IRQS,	/* pairs: into the partition's irqs */
	PROP_MMIO,	/* pairs: into the partition's mmio */
	PROP_SERIAL,	/* one printable string: const char *, and what it says */
	PROP_PCI,	/* strings: into the manifest's pci_rule */
};

struct prop {
	const char *name;
	enum prop_kind kind;
	bool required;
	uint32_t min, max;
	size_t offset;		/* of the result in the structure filled */
};

/* Something a partition takes for itself: ports, an interrupt, memory. */
struct claim {
	enum prop_kind kind;
	uint32_t owner;
	uint32_t first, last;
};

/* Lists that the manifest gives; the loader adds to them what PCI functions
 * have, and the screen. */
#define LIST_PORTS	24u
#define LIST_MMIO	7u

/* A partition's claims, and those of one more that is then refused. */
#define CLAIM_MAX ((BOOT_MAX_PARTITIONS + 1) * \
		   (LIST_PORTS + BOOT_MAX_IRQS + LIST_MMIO))

struct decode {
	const void *blob;
	struct manifest *manifest;
	char *error;			/* MANIFEST_ERROR_LEN bytes */
	const char *group, *name;	/* the node: /group/name */
	struct boot_partition *partition;
	uint32_t claims;
	struct claim claim[CLAIM_MAX];
};

bool manifest_error(struct decode *d, const char *property, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
bool manifest_claim(struct decode *d, const struct prop *p, uint32_t first, uint32_t last);
bool manifest_serial(struct manifest *m);
bool manifest_pci(struct decode *d, const struct prop *p, const char *list, uint32_t len);
bool manifest_props(struct decode *d, int node, const struct prop *table, unsigned count,
		    void *out);

#endif
