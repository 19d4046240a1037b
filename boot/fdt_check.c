/* SPDX-License-Identifier: MIT */
/*
 * Checks the structure of an untrusted device tree blob, so that libfdt may
 * then walk it: the header, every token, every length, every name, nesting.
 * libfdt's own checks are made on the way; these come before anything is
 * believed. Every node's and property's name then ends inside the blob; what
 * properties hold is manifest_props.c's to check. Pure. [Devicetree
 * Specification 0.4 "Flattened Devicetree (DTB) Format"]
 */
#include <string.h>

#include <libfdt.h>

#include "manifest.h"

#define DEPTH_MAX	3	/* root, group, element */

/* Cells are big-endian. */
static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Walks the structure block. Properties come before subnodes, as libfdt
 * needs it; there is one root, it has no name, all others have one. */
static bool structure_ok(const uint8_t *s, uint32_t size, const char *strings,
			 uint32_t strings_size)
{
	uint32_t at = 0, depth = 0, len;
	bool after_child = false, past_root = false;

	while (size - at >= 4) {
		uint32_t tag = get32(s + at);

		at += 4;
		len = 0;
		if (tag == FDT_END) {
			return past_root && at == size;
		} else if (tag == FDT_BEGIN_NODE) {
			/* without a NUL before the end this is one too many,
			 * and refused below */
			len = (uint32_t)strnlen((const char *)s + at, size - at) + 1;
			if (past_root || depth == DEPTH_MAX || (depth == 0) != (len == 1)) {
				return false;
			}
			depth++;
			after_child = false;
		} else if (tag == FDT_END_NODE && depth > 0) {
			after_child = true;
			past_root = --depth == 0;
		} else if (tag == FDT_PROP && depth > 0 && !after_child && size - at >= 8) {
			uint32_t name = get32(s + at + 4);

			len = get32(s + at);
			at += 8;
			/* a name is an offset into the strings, and ends
			 * there */
			if (name >= strings_size ||
			    memchr(strings + name, 0, strings_size - name) == NULL) {
				return false;
			}
		} else if (tag != FDT_NOP) {
			return false;
		}
		/* the first condition keeps the sum in the second from
		 * wrapping */
		if (len > size - at || ((len + 3) & ~3u) > size - at) {
			return false;
		}
		at += (len + 3) & ~3u;
	}
	return false;
}

/* A block lies inside the blob; no sum that could wrap. */
static bool inside(uint32_t offset, uint32_t len, uint32_t total)
{
	return offset <= total && len <= total - offset;
}

/**
 * Whether the size bytes at blob (8-byte aligned) are a well-formed device
 * tree of format version 17, at most DEPTH_MAX levels deep.
 */
bool manifest_blob_ok(const void *blob, uint64_t size)
{
	const struct fdt_header *h = blob;
	uint32_t total;

	if (size < sizeof(*h) || size > MANIFEST_MAX_SIZE || fdt_check_header(blob) != 0 ||
	    fdt_version(h) != 17 || fdt_totalsize(h) > size) {
		return false;
	}
	total = fdt_totalsize(h);
	return fdt_off_dt_struct(h) % 4 == 0 &&
	       inside(fdt_off_dt_struct(h), fdt_size_dt_struct(h), total) &&
	       inside(fdt_off_dt_strings(h), fdt_size_dt_strings(h), total) &&
	       structure_ok((const uint8_t *)blob + fdt_off_dt_struct(h), fdt_size_dt_struct(h),
			    (const char *)blob + fdt_off_dt_strings(h),
			    fdt_size_dt_strings(h));
}
