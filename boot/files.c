/* SPDX-License-Identifier: MIT */
/*
 * Files of the volume the loader came from: read whole, into memory that
 * stays, and verified on the way. What is hashed is the copy in memory that is
 * used later, so nothing can change between check and use. The manifest itself
 * has no digest: who writes the boot volume decides what boots (CAVEATS.md).
 */
#include <string.h>

#include "proto/black_box.h"
#include "proto/sha256.h"
#include "loader.h"

#define CHUNK		(1u << 20)	/* for each one a dot is printed */
#define FILE_MAX	(1ul << 30)
#define PATH_MAX	128

static EFI_GUID image_guid = EFI_LOADED_IMAGE_PROTOCOL_GUID;
static EFI_GUID volume_guid = EFI_SIMPLE_FILE_SYSTEM_PROTOCOL_GUID;
static EFI_GUID info_guid = EFI_FILE_INFO_ID;
static EFI_FILE_HANDLE root;

/**
 * Opens the volume that this program was loaded from. false: there is none, e.g.
 * after a start over the network.
 */
bool files_open(void)
{
	EFI_LOADED_IMAGE *image;
	EFI_FILE_IO_INTERFACE *volume;

	return root != NULL ||
	       (!EFI_ERROR(efi_bs->HandleProtocol(efi_image, &image_guid, (void **)&image)) &&
		!EFI_ERROR(efi_bs->HandleProtocol(image->DeviceHandle, &volume_guid,
						  (void **)&volume)) &&
		!EFI_ERROR(volume->OpenVolume(volume, &root)));
}

/* NULL: there is no such file, or not for that mode. */
static EFI_FILE_HANDLE path_open(const char *path, UINT64 mode)
{
	CHAR16 wide[PATH_MAX] = { 0 };
	EFI_FILE_HANDLE file;

	for (unsigned i = 0; path[i] != '\0' && i < PATH_MAX - 1; i++) {
		wide[i] = (CHAR16)path[i];
	}
	return EFI_ERROR(root->Open(root, &file, wide, mode, 0)) ? NULL : file;
}

/* Opens a file; its size goes to *size. */
static EFI_FILE_HANDLE file_open(const char *path, uint64_t *size)
{
	union {
		EFI_FILE_INFO info;
		CHAR16 space[512];
	} u;
	UINTN info_size = sizeof(u);
	EFI_FILE_HANDLE file = path_open(path, EFI_FILE_MODE_READ);

	if (file == NULL) {
		console_fail("%s: no such file on the boot volume; copy it there or correct the "
			     "manifest", path);
	}
	if (EFI_ERROR(file->GetInfo(file, &info_guid, &info_size, &u)) ||
	    (u.info.Attribute & EFI_FILE_DIRECTORY) != 0 || u.info.FileSize == 0 ||
	    u.info.FileSize > FILE_MAX) {
		console_fail("%s: it is not a file of 1 byte to %lu MiB; copy it anew", path,
			     FILE_MAX / MIB);
	}
	*size = u.info.FileSize;
	return file;
}

/* The first 8 bytes are enough to tell people which is which. */
static void digest_check(const uint8_t *want, const uint8_t *got, const char *path)
{
	uint64_t w, g;

	memcpy(&w, want, sizeof(w));
	memcpy(&g, got, sizeof(g));
	if (memcmp(want, got, SHA256_SIZE) != 0) {
		console_fail("%s: its SHA-256 is %lx.., the manifest says %lx..: the file is "
			     "damaged or not the one meant; make the boot disk again",
			     path, __builtin_bswap64(g), __builtin_bswap64(w));
	}
}

/**
 * Reads the file at path into memory of that type, 2 MiB aligned, the last
 * page filled up with zeros. Its SHA-256 must be the one given (NULL: any).
 * Fills *module with place and exact size. Whatever is wrong ends the boot.
 */
void files_read(const char *path, const uint8_t *sha256, uint32_t type, struct module *module)
{
	uint8_t digest[SHA256_SIZE];
	struct sha256 hash;
	EFI_FILE_HANDLE file = file_open(path, &module->size);
	uint64_t size = module->size;
	uint8_t *data = memory_alloc(size, PAGE_2M, type, path);

	console_write("isthmus: ");
	console_write(path);
	sha256_init(&hash);
	for (uint64_t at = 0; at < size;) {
		UINTN n = size - at < CHUNK ? size - at : CHUNK;

		/* n == 0: shorter than its directory entry says */
		if (EFI_ERROR(file->Read(file, &n, data + at)) || n == 0) {
			console_fail("%s: it cannot be read at byte %lu; check the boot disk",
				     path, at);
		}
		if (sha256 != NULL) {
			sha256_add(&hash, data + at, n);
		}
		at += n;
		console_write(".");
	}
	console_write("\n");
	/* the partition gets whole pages: nothing of the firmware's in the
	 * last */
	memset(data + size, 0, round_up(size, PAGE_SIZE) - size);
	file->Close(file);
	if (sha256 != NULL) {
		sha256_end(&hash, digest);
		digest_check(sha256, digest, path);
	}
	module->data = data;
}

/* A text on its way into a file. */
struct writer {
	struct black_box_out out;	/* first: it is this */
	EFI_FILE_HANDLE file;
	bool failed;
};

static void write(struct black_box_out *out, const char *text, size_t size)
{
	struct writer *w = (struct writer *)out;

	w->failed |= EFI_ERROR(w->file->Write(w->file, &size, (void *)text));
}

/** Writes a file, in the place of one of that name. false: it could not be done. */
bool files_write(const char *path, const struct black_box_read *text)
{
	const UINT64 mode = EFI_FILE_MODE_READ | EFI_FILE_MODE_WRITE;
	struct writer w = { .out.text = write };

	w.file = files_open() ? path_open(path, mode) : NULL;
	if (w.file != NULL) {
		w.file->Delete(w.file);
	}
	w.file = root != NULL ? path_open(path, mode | EFI_FILE_MODE_CREATE) : NULL;
	if (w.file == NULL) {
		return false;
	}
	black_box_tell(text, &w.out);
	return !EFI_ERROR(w.file->Close(w.file)) && !w.failed;
}
