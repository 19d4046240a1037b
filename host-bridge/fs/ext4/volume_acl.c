/* SPDX-License-Identifier: MIT */
/*
 * POSIX ACLs: kept as ext4 does, given and taken in the form of Linux's system
 * calls. A file's access ACL and its mode follow each other; a directory's
 * default ACL is handed on to what is made in it. Nothing is checked against an
 * ACL here: that is Linux's affair, as with all rights.
 * [Linux man-pages "acl(5)"]
 * [Linux "fs/ext4/acl.h: ext4_acl_entry", "include/uapi/linux/posix_acl_xattr.h"]
 *
 * Both forms are checked as they are read: a caller's (EINVAL) and the volume's
 * (EIO).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"

#define ACCESS		"system.posix_acl_access"
#define DEFAULT		"system.posix_acl_default"

#define CALL_VERSION	2u
#define DISK_VERSION	1u
#define HEAD		4u		/* the version, in either form */
#define CALL_ENTRY	8u
#define DISK_SHORT	4u		/* an entry without an id */

/* What an entry is for; in this order, and those with an id as often as is
 * liked. */
#define USER_OBJ	0x01u
#define USER		0x02u
#define GROUP_OBJ	0x04u
#define GROUP		0x08u
#define MASK		0x10u
#define OTHER		0x20u
#define NO_ID		UINT32_MAX

/* As many as a block of attributes can hold, and more. */
#define ENTRIES		512u

struct acl_entry {
	uint16_t tag, perm;
	uint32_t id;
};

struct acl {
	uint32_t count;
	struct acl_entry entries[ENTRIES];
};

/** Whether that is the name of an ACL. */
bool acl_name(const char *name)
{
	return strcmp(name, ACCESS) == 0 || strcmp(name, DEFAULT) == 0;
}

static bool has_id(uint32_t tag)
{
	return tag == USER || tag == GROUP;
}

/* Whether entries are such as an ACL has: one each of owner, group and others,
 * a mask if anybody is named, all in order. */
static bool acl_valid(const struct acl *acl)
{
	unsigned seen = 0;

	for (uint32_t i = 0; i < acl->count; i++) {
		const struct acl_entry *e = &acl->entries[i];
		bool again = has_id(e->tag) && (seen & e->tag) != 0;

		if (e->tag == 0 || e->tag > OTHER ||
		    (e->tag & (e->tag - 1)) != 0 || (e->perm & ~7u) != 0 ||
		    (has_id(e->tag) && e->id == NO_ID) ||
		    (seen >= e->tag && !(again && seen < e->tag * 2u))) {
			return false;
		}
		seen |= e->tag;
	}
	return (seen & (USER_OBJ | GROUP_OBJ | OTHER)) ==
	       (USER_OBJ | GROUP_OBJ | OTHER) &&
	       ((seen & (USER | GROUP)) == 0 || (seen & MASK) != 0);
}

/* Reads the form of system calls. Returns 0, EINVAL, EOPNOTSUPP (version) or
 * ENOSPC (more than fits anywhere). Without entries it is none, and good. */
static int acl_from_call(const uint8_t *value, size_t len, struct acl *acl)
{
	uint32_t version;

	acl->count = 0;
	if (len < HEAD) {
		return EINVAL;
	}
	memcpy(&version, value, sizeof(version));
	if (version != CALL_VERSION) {
		return EOPNOTSUPP;
	}
	if ((len - HEAD) % CALL_ENTRY != 0) {
		return EINVAL;
	}
	if ((len - HEAD) / CALL_ENTRY > ENTRIES) {
		return ENOSPC;
	}
	acl->count = (uint32_t)((len - HEAD) / CALL_ENTRY);
	memcpy(acl->entries, value + HEAD, len - HEAD);
	return acl->count == 0 || acl_valid(acl) ? 0 : EINVAL;
}

/* Makes the form of system calls: *value is the caller's to free(). */
static int acl_to_call(const struct acl *acl, void **value, size_t *len)
{
	uint32_t version = CALL_VERSION;
	uint8_t *to = malloc(HEAD + acl->count * CALL_ENTRY);

	if (to == NULL) {
		return ENOMEM;
	}
	memcpy(to, &version, sizeof(version));
	memcpy(to + HEAD, acl->entries, acl->count * CALL_ENTRY);
	*value = to;
	*len = HEAD + acl->count * CALL_ENTRY;
	return 0;
}

/* Reads the form that ext4 has, which may be anything. */
static int acl_from_disk(const uint8_t *value, size_t len, struct acl *acl)
{
	size_t at = HEAD;
	uint32_t version;

	acl->count = 0;
	if (len < HEAD) {
		return EIO;
	}
	memcpy(&version, value, sizeof(version));
	while (version == DISK_VERSION && len - at >= DISK_SHORT &&
	       acl->count < ENTRIES) {
		struct acl_entry *e = &acl->entries[acl->count++];

		memcpy(e, value + at, DISK_SHORT);
		e->id = NO_ID;
		at += DISK_SHORT;
		if (has_id(e->tag)) {
			if (len - at < sizeof(e->id)) {
				return EIO;
			}
			memcpy(&e->id, value + at, sizeof(e->id));
			at += sizeof(e->id);
		}
	}
	return at == len && acl_valid(acl) ? 0 : EIO;
}

/* Makes the form that ext4 has, in room for all entries; returns its length. */
static size_t acl_to_disk(const struct acl *acl, uint8_t *to)
{
	uint32_t version = DISK_VERSION;
	size_t at = HEAD;

	memcpy(to, &version, sizeof(version));
	for (uint32_t i = 0; i < acl->count; i++) {
		const struct acl_entry *e = &acl->entries[i];
		size_t size = has_id(e->tag) ? sizeof(*e) : DISK_SHORT;

		memcpy(to + at, e, size);
		at += size;
	}
	return at;
}

/* Reads a file's ACL. Returns 0, ENODATA, EIO or ENOMEM. */
static int acl_load(struct volume *vol, struct vnode *vn, const char *name,
		    struct acl *acl)
{
	void *value;
	size_t len;
	int error = xattr_read(vol, vn, name, &value, &len);

	if (error == 0) {
		error = acl_from_disk(value, len, acl);
		free(value);
	}
	return error;
}

/* Stores a file's ACL; one without entries is removed. */
static int acl_store(struct volume *vol, struct vnode *vn, const char *name,
		     const struct acl *acl)
{
	uint8_t value[HEAD + ENTRIES * CALL_ENTRY];
	size_t len;

	if (acl->count == 0) {
		return xattr_write(vol, vn, name, NULL, 0, 0);
	}
	len = acl_to_disk(acl, value);
	return xattr_write(vol, vn, name, value, len, 0);
}

/* The entry for what the group bits of a mode stand for: the mask, or without
 * one the group. */
static struct acl_entry *acl_group(struct acl *acl)
{
	struct acl_entry *found = NULL;

	for (uint32_t i = 0; i < acl->count; i++) {
		if (acl->entries[i].tag == GROUP_OBJ ||
		    acl->entries[i].tag == MASK) {
			found = &acl->entries[i];	/* the mask is later */
		}
	}
	return found;
}

/* The three entries that are a mode's bits; the ACL is a valid one. */
static void acl_bits(struct acl *acl, struct acl_entry *bits[3])
{
	bits[0] = &acl->entries[0];
	bits[1] = acl_group(acl);
	bits[2] = &acl->entries[acl->count - 1];
}

/* The permission bits that an ACL shows as. */
static uint32_t acl_mode(struct acl *acl)
{
	struct acl_entry *bits[3];

	acl_bits(acl, bits);
	return (uint32_t)bits[0]->perm << 6 | (uint32_t)bits[1]->perm << 3 |
	       bits[2]->perm;
}

/**
 * Reads an ACL, by its attribute's name, in the form of system calls: *value is
 * the caller's to free(). Returns 0, ENODATA, EIO or ENOMEM.
 */
int acl_get(struct volume *vol, struct vnode *vn, const char *name,
	    void **value, size_t *len)
{
	struct acl acl;
	int error = acl_load(vol, vn, name, &acl);

	return error != 0 ? error : acl_to_call(&acl, value, len);
}

/**
 * Sets an ACL; without entries (or len 0) it is removed, and that is none too.
 * The mode follows an access ACL, and one that says no more than a mode is not
 * kept; kill_sgid then ends set-group-ID. Returns 0, EINVAL, EOPNOTSUPP (a
 * symbolic link, a version that is not known), EACCES (a default ACL of what is
 * no directory), ENOSPC, EIO or ENOMEM; then nothing has changed.
 */
int acl_set(struct volume *vol, struct vnode *vn, const char *name,
	    const void *value, size_t len, bool kill_sgid)
{
	bool access = strcmp(name, ACCESS) == 0;
	struct acl acl = { .count = 0 };
	uint32_t mode = vn->in.i_mode;
	int error = len != 0 ? acl_from_call(value, len, &acl) : 0;

	if (error != 0) {
		return error;
	}
	if (vnode_is(vn, VOLUME_S_IFLNK)) {
		return EOPNOTSUPP;
	}
	if (!access && !vnode_is(vn, VOLUME_S_IFDIR)) {
		return acl.count != 0 ? EACCES : 0;
	}
	if (access && acl.count != 0) {
		mode = (mode & ~0777u) | acl_mode(&acl);
		mode &= kill_sgid ? ~02000u : ~0u;
		acl.count = acl.count > 3 ? acl.count : 0;
	}
	error = acl_store(vol, vn, name, &acl);
	if (error == 0) {
		vn->in.i_mode = (uint16_t)mode;
		vn->dirty = true;
	}
	return error;
}

/**
 * Makes a file's access ACL, if it has one, follow permission bits that the mode
 * is to have. Returns 0, EIO, ENOSPC or ENOMEM.
 */
int acl_chmod(struct volume *vol, struct vnode *vn, uint32_t mode)
{
	struct acl_entry *bits[3];
	struct acl acl;
	int error = acl_load(vol, vn, ACCESS, &acl);

	if (error != 0) {
		return error == ENODATA ? 0 : error;
	}
	acl_bits(&acl, bits);
	for (unsigned i = 0; i < 3; i++) {
		bits[i]->perm = (uint16_t)(mode >> (6 - 3 * i) & 7);
	}
	return acl_store(vol, vn, ACCESS, &acl);
}

/**
 * Gives a file that was just made in dir the ACLs that dir hands on, and the
 * mode that these leave of its own; or takes the umask's bits from that.
 * Returns 0, ENOSPC, EIO or ENOMEM.
 */
int acl_inherit(struct volume *vol, struct vnode *dir, struct vnode *vn,
		uint32_t umask)
{
	struct acl_entry *bits[3];
	struct acl acl;
	int error = dir->hands_nothing ? ENODATA
		    : acl_load(vol, dir, DEFAULT, &acl);

	if (error == ENODATA) {
		dir->hands_nothing = true;
		vn->in.i_mode &= (uint16_t)~(umask & 0777);
		return 0;
	}
	if (error == 0 && vnode_is(vn, VOLUME_S_IFDIR)) {
		error = acl_store(vol, vn, DEFAULT, &acl);
	}
	if (error != 0) {
		return error;
	}
	/* No more than the mode that was asked for. */
	acl_bits(&acl, bits);
	for (unsigned i = 0; i < 3; i++) {
		bits[i]->perm &= (uint16_t)(vn->in.i_mode >> (6 - 3 * i) & 7);
	}
	if (acl.count > 3) {
		error = acl_store(vol, vn, ACCESS, &acl);
	}
	vn->in.i_mode = (uint16_t)((vn->in.i_mode & ~0777u) | acl_mode(&acl));
	return error;
}
