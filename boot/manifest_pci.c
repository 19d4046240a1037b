/* SPDX-License-Identifier: MIT */
/*
 * The manifest's rules on who owns which PCI function: by class, ids or address;
 * and its word on where the serial port is. The text is of the blob, not trusted.
 */
#include <stddef.h>
#include <string.h>

#include "drivers/uart_places.h"
#include "manifest_impl.h"

/* The hexadecimal digits at *text, of which there must be count, then the
 * character end; *text is then behind both. */
static bool hex_take(const char **text, unsigned count, char end, uint32_t *value)
{
	const char *s = *text;

	*value = 0;
	for (unsigned i = 0; i < count; i++, s++) {
		char low = (char)(*s | 0x20);
		bool digit = *s >= '0' && *s <= '9';

		if (!digit && (low < 'a' || low > 'f')) {
			return false;
		}
		*value = *value << 4 | (uint32_t)(digit ? *s - '0' : low - 'a' + 10);
	}
	*text = s + 1;
	return *s == end;
}

/* "class:01", "class:0c03" or "class:0c0330"; "8086:100e"; "0000:00:1f.2". */
static bool rule_read(const char *text, struct pci_rule *rule)
{
	uint32_t a, b, c, f;
	const char *at = text;

	if (strlen(text) > 6 && memcmp(text, "class:", 6) == 0) {
		unsigned digits = (unsigned)strlen(text) - 6;
		unsigned shift = 32 - 4 * digits;

		at += 6;
		if ((digits != 2 && digits != 4 && digits != 6) ||
		    !hex_take(&at, digits, '\0', &a)) {
			return false;
		}
		*rule = (struct pci_rule) { PCI_BY_CLASS, UINT32_MAX << shift, a << shift };
		return true;
	}
	if (strlen(text) == 9 && hex_take(&at, 4, ':', &a) && hex_take(&at, 4, '\0', &b)) {
		*rule = (struct pci_rule) { PCI_BY_ID, UINT32_MAX, b << 16 | a };
		return true;
	}
	at = text;
	if (hex_take(&at, 4, ':', &a) && hex_take(&at, 2, ':', &b) && hex_take(&at, 2, '.', &c) &&
	    hex_take(&at, 1, '\0', &f) && c < 32 && f < 8) {
		*rule = (struct pci_rule) { PCI_BY_ADDRESS, UINT32_MAX,
					    a << 16 | b << 8 | c << 3 | f };
		return true;
	}
	return false;
}

/**
 * Adds a list of rules, len bytes of strings each with its NUL, to the manifest;
 * none at all is a list too. Returns false with the reason in d->error.
 */
bool manifest_pci(struct decode *d, const struct prop *p, const char *list, uint32_t len)
{
	struct manifest *m = d->manifest;

	for (uint32_t at = 0, size; at < len; at += size) {
		size = (uint32_t)strnlen(list + at, len - at) + 1;
		if (size > len - at || m->pci_rule_count == MANIFEST_MAX_PCI_RULES ||
		    !rule_read(list + at, &m->pci_rule[m->pci_rule_count])) {
			return manifest_error(d, p->name, "it takes at most %u strings like "
					      "\"class:0106\", \"8086:100e\" or "
					      "\"0000:00:1f.2\"", MANIFEST_MAX_PCI_RULES);
		}
		m->pci_rule_count++;
	}
	return true;
}

/** Reads m->serial, a rule or a name, into what it says; false: it says nothing. */
bool manifest_serial(struct manifest *m)
{
	return strlen(m->serial) > 4 && memcmp(m->serial, "pci:", 4) == 0 ?
	       rule_read(m->serial + 4, &m->serial_rule) : uart_named(m->serial, &m->serial_uart);
}
