/* SPDX-License-Identifier: MIT */
/*
 * Properties of the manifest, by tables: which a node may have, which values
 * they take, where these go. Anything else is refused by name, and so is what
 * two partitions, or one twice, lay claim to. Values are of the blob, not
 * trusted: length and range come before use, and numbers may lie at any
 * alignment.
 */
#include <string.h>

#include <libfdt.h>

#include "text/fmt.h"
#include "manifest_impl.h"

#define PAGE		4096u
#define MMIO_FIRST	0xc0000000ull	/* the host partition's device memory */
#define MMIO_END	0x100000000ull

/* PCI's configuration ports [PCI 3.0 "Configuration Mechanism #1"], and among
 * them the reset register of chipsets. */
#define PCI_PORTS	0xcf8u
#define PCI_PORTS_END	0xcffu
#define RESET_PORT	0xcf9u

/* Completes "it takes"; the lists have messages of their own. */
static const char *const kind_takes[] = {
	[PROP_FLAG] = "no value", [PROP_U32] = "one number", [PROP_PAIR] = "two numbers",
	[PROP_STRING] = "one printable string, its length", [PROP_TEXT] = "one string, its length",
	[PROP_SERIAL] = "\"com1\" to \"com4\", \"0x2f8\", \"mmio:0xfe030000\", \"mmio32:..\", "
			"\"pci:\" and a rule as in \"pci\", or \"none\", its length",
	[PROP_BYTES] = "bytes, their count", [PROP_MODULE] = "the name of one of /modules",
};

/**
 * Writes "/group/name: property "p": ..." (or without property, if NULL) as
 * the reason to refuse the manifest, cut to MANIFEST_ERROR_LEN. Returns false,
 * so that callers can return it.
 */
bool manifest_error(struct decode *d, const char *property, const char *format, ...)
{
	size_t used = fmt(d->error, MANIFEST_ERROR_LEN, property ? "/%s%s%s: property \"%s\": "
			  : "/%s%s%s: ", d->group, d->name[0] ? "/" : "", d->name, property);
	va_list ap;

	va_start(ap, format);
	fmt_va(d->error + used, MANIFEST_ERROR_LEN - used, format, ap);
	va_end(ap);
	return false;
}

static bool is_port(enum prop_kind kind)
{
	return kind == PROP_PORTS || kind == PROP_FORWARD;
}

/**
 * Notes that the partition being read takes first..last of what p stands for.
 * Refuses, with the reason in d->error, what it has already, and what another
 * has: only forwarded ports may be on several, as nobody touches a device
 * through them. At most CLAIM_MAX in all, which the limits of each list keep.
 */
bool manifest_claim(struct decode *d, const struct prop *p, uint32_t first, uint32_t last)
{
	uint32_t owner = d->partition->id;

	for (const struct claim *c = d->claim; c < d->claim + d->claims; c++) {
		bool same = c->kind == p->kind || (is_port(c->kind) && is_port(p->kind));
		bool shared = c->owner != owner && is_port(c->kind) &&
			      (c->kind == PROP_FORWARD || p->kind == PROP_FORWARD);

		/* closed intervals that meet */
		if (same && !shared && first <= c->last && c->first <= last) {
			return manifest_error(d, p->name, "0x%x to 0x%x overlaps 0x%x to 0x%x, "
					      "which partition %u has", first, last, c->first,
					      c->last, c->owner);
		}
	}
	d->claim[d->claims++] = (struct claim) { p->kind, owner, first, last };
	return true;
}

/* Adds one pair of a list to the partition; false if it is out of range. */
static bool pair_add(struct boot_partition *b, enum prop_kind kind, uint32_t x, uint32_t y)
{
	if (is_port(kind) && x <= y && y <= 0xffff && b->port_count < LIST_PORTS) {
		b->ports[b->port_count++] = (struct boot_port) {
			.first = (uint16_t)x, .last = (uint16_t)y,
			.policy = kind == PROP_PORTS ? BOOT_PORT_NATIVE : BOOT_PORT_FORWARD };
		return true;
	}
	if (kind == PROP_IRQS && x < 256 && b->irq_count < BOOT_MAX_IRQS &&
	    (y & ~(BOOT_IRQ_LEVEL | BOOT_IRQ_ACTIVE_LOW)) == 0) {
		b->irqs[b->irq_count++] = (struct boot_irq) { x, y };
		return true;
	}
	/* Device memory keeps its address: the host partition's tables map 4
	 * GiB one to one, and all below MMIO_FIRST is spoken for. */
	if (kind == PROP_MMIO && x >= MMIO_FIRST && x % PAGE == 0 && y % PAGE == 0 && y > 0 &&
	    y <= MMIO_END - x && b->mmio_count < LIST_MMIO) {
		b->mmio[b->mmio_count++] = (struct boot_region) {
			.gpa = x, .hpa = x, .size = y,
			.flags = BOOT_MAP_WRITE | BOOT_MAP_UNCACHED };
		return true;
	}
	return false;
}

/* A list of pairs: first and last port, GSI and flags, or address and size. */
static bool list_store(struct decode *d, const struct prop *p, const fdt32_t *cell, uint32_t len)
{
	if (len % 8 != 0) {
		return manifest_error(d, p->name, "it takes pairs of numbers");
	}
	for (uint32_t i = 0; i < len / 4; i += 2) {
		uint32_t x = fdt32_ld(cell + i), y = fdt32_ld(cell + i + 1);
		/* used only after pair_add() has seen that it does not wrap */
		uint32_t last = p->kind == PROP_IRQS ? x : p->kind == PROP_MMIO ? x + y - 1 : y;

		if (!pair_add(d->partition, p->kind, x, y)) {
			return manifest_error(d, p->name, "<0x%x 0x%x> is out of range, or one "
					      "pair too many", x, y);
		}
		if (p->kind == PROP_PORTS && x <= PCI_PORTS_END && y >= PCI_PORTS &&
		    (x != RESET_PORT || y != RESET_PORT)) {
			return manifest_error(d, p->name, "0x%x to 0x%x has PCI's configuration "
					      "ports in it, which are the hypervisor's", x, y);
		}
		if (!manifest_claim(d, p, x, last)) {
			return false;
		}
	}
	return true;
}

/* One string that fills the value, with min to max characters; all but PROP_TEXT
 * are printed and compared, so only ASCII that can be seen. */
static bool string_ok(const struct prop *p, const char *s, uint32_t len)
{
	bool ok = len > p->min && len - 1 <= p->max && strnlen(s, len) == len - 1;

	for (uint32_t i = 0; ok && p->kind != PROP_TEXT && i < len - 1; i++) {
		ok = s[i] >= ' ' && s[i] <= '~';
	}
	return ok;
}

/* One or two cells, stored even if out of range: the manifest is refused
 * then. */
static bool numbers_ok(const struct prop *p, const fdt32_t *cell, uint32_t len, uint32_t *to)
{
	uint32_t count = p->kind == PROP_PAIR ? 2 : 1;
	bool ok = len == 4 * count;

	for (uint32_t i = 0; ok && i < count; i++) {
		to[i] = fdt32_ld(cell + i);
		ok = to[i] >= p->min && to[i] <= p->max;
	}
	return ok;
}

/* name has len bytes and perhaps no NUL among them. */
static bool module_ok(const struct manifest *m, const char *name, uint32_t len, uint32_t *to)
{
	for (uint32_t i = 0; i < m->module_count; i++) {
		if (strlen(m->module[i].name) + 1 == len &&
		    memcmp(m->module[i].name, name, len) == 0) {
			*to = i;
			return true;
		}
	}
	return false;
}

/* Checks a value of len bytes against its table entry and stores it. */
static bool prop_store(struct decode *d, const struct prop *p, const void *data, uint32_t len,
		       uint8_t *out)
{
	void *to = out + p->offset;
	bool ok = false;

	switch (p->kind) {
	case PROP_FLAG:
		ok = len == 0;
		if (p->offset != 0) {
			*(bool *)to = ok;
		}
		break;
	case PROP_U32:
	case PROP_PAIR:
		ok = numbers_ok(p, data, len, to);
		break;
	case PROP_STRING:
		*(const char **)to = data;
		ok = string_ok(p, data, len);
		break;
	case PROP_TEXT:
		ok = string_ok(p, data, len);
		break;
	case PROP_SERIAL:
		*(const char **)to = data;
		ok = string_ok(p, data, len) && manifest_serial(d->manifest);
		break;
	case PROP_BYTES:
		*(const uint8_t **)to = data;
		ok = len == p->min;
		break;
	case PROP_MODULE:
		ok = module_ok(d->manifest, data, len, to);
		break;
	case PROP_PCI:
		return manifest_pci(d, p, data, len);
	default:
		return list_store(d, p, data, len);
	}
	return ok || manifest_error(d, p->name, "it takes %s (%u to %u)", kind_takes[p->kind],
				    p->min, p->max);
}

/**
 * Reads all properties of a node by the table (at most 32 entries) into out,
 * the structure that its offsets are of. Returns false with the reason in
 * d->error: a property that is unknown, twice there, missing, or has a value
 * it may not have. out is then of no use.
 */
bool manifest_props(struct decode *d, int node, const struct prop *table, unsigned count,
		    void *out)
{
	uint32_t seen = 0;
	int at, len;

	fdt_for_each_property_offset(at, d->blob, node) {
		const char *name = "?";
		const void *data = fdt_getprop_by_offset(d->blob, at, &name, &len);
		unsigned i = 0;

		while (i < count && data != NULL && strcmp(name, table[i].name) != 0) {
			i++;
		}
		if (data == NULL || i == count) {
			return manifest_error(d, NULL, "unknown property \"%s\"", name);
		}
		if ((seen & 1u << i) != 0) {
			return manifest_error(d, name, "it is there twice");
		}
		seen |= 1u << i;
		if (!prop_store(d, &table[i], data, (uint32_t)len, out)) {
			return false;
		}
	}
	for (unsigned i = 0; i < count; i++) {
		if (table[i].required && (seen & 1u << i) == 0) {
			return manifest_error(d, table[i].name, "it is missing");
		}
	}
	return true;
}
