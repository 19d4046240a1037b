/* SPDX-License-Identifier: MIT */
/*
 * libext2fs' way to a block device of ours: an I/O manager that copies from and
 * to the device's blocks. The library opens by name; the device to open is left
 * in a variable just before, by volume_io_open(). [libext2fs "I/O channel"]
 *
 * The library's block numbers come from the file system, which may be damaged:
 * the device refuses those it does not have.
 */
#include <errno.h>
#include <string.h>

#include "host-bridge/fs/ext4/volume_int.h"
#include "host-bridge/rt/crc32c.h"

#define SUPER_OFFSET	1024u		/* bytes, whatever the block size */

/* Between volume_io_open() and io_open(), which it calls. */
static struct volume_dev *opening;

/* Flags are not looked at: a device that is read-only is one of which volume.c
 * changes nothing. */
static errcode_t io_open(const char *name, int flags, io_channel *channel)
{
	io_channel io;
	errcode_t error;

	(void)flags;
	error = ext2fs_get_memzero(sizeof(*io), &io);
	if (error != 0) {
		return error;
	}
	error = ext2fs_get_mem(strlen(name) + 1, &io->name);
	if (error != 0) {
		ext2fs_free_mem(&io);
		return error;
	}
	strcpy(io->name, name);
	io->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	io->manager = volume_io_manager;
	io->block_size = 1024;		/* until the superblock was read */
	io->refcount = 1;
	io->private_data = opening;
	*channel = io;
	return 0;
}

/* The device is not closed: it is the volume's caller's. */
static errcode_t io_close(io_channel io)
{
	if (--io->refcount == 0) {
		ext2fs_free_mem(&io->name);
		ext2fs_free_mem(&io);
	}
	return 0;
}

/* What the library counts in; the device's blocks stay as they are. */
static errcode_t io_set_blksize(io_channel io, int size)
{
	io->block_size = size;
	return 0;
}

/* Copies len bytes at a place of the device: out of it into to, or into it from
 * from; the other is NULL. Over as many blocks as it takes. Returns 0, or an
 * error after which some were copied. */
static errcode_t io_copy(io_channel io, uint64_t at, uint64_t len,
			 uint8_t *to, const uint8_t *from)
{
	struct volume_dev *dev = io->private_data;

	while (len > 0) {
		uint64_t block = at >> dev->block_shift;
		size_t skip = at & (dev->block_size - 1);
		size_t n = dev->block_size - skip;

		n = n < len ? n : len;
		if (to != NULL) {
			const uint8_t *data = dev->ops->peek(dev, block);

			if (data == NULL) {
				return dev_error(dev);
			}
			memcpy(to, data + skip, n);
			to += n;
		} else {
			uint8_t *data = dev->ops->change(dev, block,
							 n == dev->block_size);

			if (data == NULL) {
				return dev_error(dev);
			}
			memcpy(data + skip, from, n);
			from += n;
		}
		at += n;
		len -= n;
	}
	return 0;
}

/* A negative count is a number of bytes, in all I/O managers. */
static uint64_t io_bytes(io_channel io, int count)
{
	return count < 0 ? (uint64_t)-(int64_t)count
			 : (uint64_t)count * (unsigned)io->block_size;
}

static errcode_t io_read64(io_channel io, unsigned long long block, int count,
			   void *data)
{
	return io_copy(io, block * (unsigned)io->block_size,
		       io_bytes(io, count), data, NULL);
}

static errcode_t io_write64(io_channel io, unsigned long long block,
			    int count, const void *data)
{
	return io_copy(io, block * (unsigned)io->block_size,
		       io_bytes(io, count), NULL, data);
}

/* The library calls the 64-bit functions where there are any; these are for the
 * rest of it. */
static errcode_t io_read(io_channel io, unsigned long block, int count,
			 void *data)
{
	return io_read64(io, block, count, data);
}

static errcode_t io_write(io_channel io, unsigned long block, int count,
			  const void *data)
{
	return io_write64(io, block, count, data);
}

/* For the superblock, of which the library writes the words that changed. */
static errcode_t io_write_byte(io_channel io, unsigned long offset, int count,
			       const void *data)
{
	return io_copy(io, offset, (uint64_t)count, NULL, data);
}

/* All that was written is in the device's blocks already; whether it lasts is
 * the device's matter. */
static errcode_t io_flush(io_channel io)
{
	struct volume_dev *dev = io->private_data;

	return dev->ops->flush != NULL ? dev->ops->flush(dev) : 0;
}

/* What it lacks (discard, cache and read-ahead) the library does without. */
static struct struct_io_manager manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "isthmus volume",
	.open = io_open,
	.close = io_close,
	.set_blksize = io_set_blksize,
	.read_blk = io_read,
	.write_blk = io_write,
	.flush = io_flush,
	.write_byte = io_write_byte,
	.read_blk64 = io_read64,
	.write_blk64 = io_write64,
};

const io_manager volume_io_manager = &manager;

/**
 * Reads the superblock as it is on the device. Returns 0, EIO or EAGAIN; then
 * *sb is not changed.
 */
int volume_super(struct volume_dev *dev, struct ext2_super_block *sb)
{
	uint64_t block = SUPER_OFFSET >> dev->block_shift;
	const uint8_t *data = dev->ops->peek(dev, block);

	if (data == NULL) {
		return dev_error(dev);
	}
	memcpy(sb, data + (SUPER_OFFSET & (dev->block_size - 1)), sizeof(*sb));
	return 0;
}

/**
 * Opens the file system on dev with libext2fs; superblock and group descriptors
 * are read. Returns the library's code; *fs is NULL if that is not 0.
 */
errcode_t volume_io_open(struct volume_dev *dev, ext2_filsys *fs)
{
	/* 64-bit block numbers; and the copies of superblock and descriptors in
	 * other groups stay as they are: they serve repairs only, and a flush
	 * would write each. */
	int flags = EXT2_FLAG_64BITS | EXT2_FLAG_MASTER_SB_ONLY;

	if (!dev->read_only) {
		flags |= EXT2_FLAG_RW;
	}
	opening = dev;
	return ext2fs_open2("volume", NULL, flags, 0, 0, volume_io_manager,
			    fs);
}

/**
 * In the place of the library's function, which works with tables, also where the
 * library calls it: 256 bytes of an inode are 50 instructions, and not 900.
 */
uint32_t ext2fs_crc32c_le(uint32_t crc, const unsigned char *data, size_t len)
{
	return crc32c(crc, data, len);
}

/**
 * The errno value for a code of libext2fs, which may be one already. Whatever
 * is not told apart is EIO.
 */
int volume_errno(errcode_t code)
{
	switch (code) {
	case EXT2_ET_BLOCK_ALLOC_FAIL:
	case EXT2_ET_INODE_ALLOC_FAIL:
	case EXT2_ET_DIR_NO_SPACE:
	case EXT2_ET_EA_NO_SPACE:
	case ENOSPC:
		return ENOSPC;
	case EXT2_ET_NO_MEMORY:
	case ENOMEM:
		return ENOMEM;
	case EXT2_ET_RO_FILSYS:
		return EROFS;
	case EXT2_ET_EA_KEY_NOT_FOUND:
		return ENODATA;
	case EXT2_ET_EA_BAD_NAME_LEN:
	case EXT2_ET_EA_BAD_VALUE_SIZE:
		return ERANGE;
	case EXT2_ET_UNSUPP_FEATURE:
	case EXT2_ET_RO_UNSUPP_FEATURE:
		return EOPNOTSUPP;
	case EAGAIN:
		return EAGAIN;
	case 0:
		return 0;
	default:
		return EIO;
	}
}
