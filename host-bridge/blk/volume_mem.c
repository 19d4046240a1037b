/* SPDX-License-Identifier: MIT */
/*
 * A block device in memory, made from an image that the boot loader left
 * there: an Android sparse image, or the plain blocks. A table holds each
 * block's address. Blocks of the image are used where they lie, blocks that
 * were never written have no memory at all, and a discarded block's memory
 * serves the next one that is written. The image is checked before anything
 * is believed; its memory must stay ours as long as the device.
 * [Android "libsparse: sparse_format.h"]
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/blk/volume_dev.h"

#define SPARSE_MAGIC	0xed26ff3au
#define CHUNK_RAW	0xcac1u		/* its blocks follow */
#define CHUNK_FILL	0xcac2u		/* one word follows, for all of it */
#define CHUNK_DONT_CARE	0xcac3u		/* zeros here */
#define ARENA_BYTES	(64u * VOLUME_BLOCK_MAX)	/* in one piece */
#define FIRST_SHIFT	12u		/* until we are told otherwise */

/* As in the file, little endian. The checksum is not looked at: the loader has
 * verified the whole image's. */
struct sparse_header {
	uint32_t magic;
	uint16_t major, minor, header_size, chunk_header_size;
	uint32_t block_size, blocks, chunks, checksum;
};

struct sparse_chunk {
	uint16_t type, reserved;
	uint32_t blocks;
	uint32_t size;			/* bytes, this header included */
};

/* Memory for blocks that the image does not have. */
struct arena {
	struct arena *next;
	uint8_t bytes[ARENA_BYTES];
};

/* The device. table has an address for each block: in the image, where a sparse
 * image's blocks are aligned to 4 bytes only, or in an arena; NULL: never
 * written, reads as zeros. */
struct mem_dev {
	struct volume_dev dev;
	uint8_t **table;
	uint8_t *plain;			/* the image, if it is a plain one */
	size_t size;			/* bytes of it */
	uint64_t missing;		/* blocks without memory */
	uint8_t *free;			/* chained through their first bytes */
	uint64_t frees;			/* of these */
	struct arena *arenas;
	unsigned arena_used;		/* bytes taken of the first arena */
	size_t arenas_left;		/* that may still be made */
};

/* What all blocks without memory share, for reading. */
static const uint8_t zeros[VOLUME_BLOCK_MAX];

/* Memory for one block, with whatever is in it; NULL: none. Freed blocks are
 * used first, be they of the image or of an arena. */
static uint8_t *mem_alloc(struct mem_dev *mem)
{
	uint8_t *block = mem->free;

	if (block != NULL) {
		memcpy(&mem->free, block, sizeof(mem->free));
		mem->frees--;
		return block;
	}
	if (mem->arenas == NULL || mem->arena_used == ARENA_BYTES) {
		struct arena *arena = mem->arenas_left > 0
				      ? malloc(sizeof(*arena)) : NULL;

		if (arena == NULL) {
			return NULL;
		}
		mem->arenas_left--;
		arena->next = mem->arenas;
		mem->arenas = arena;
		mem->arena_used = 0;
	}
	block = &mem->arenas->bytes[mem->arena_used];
	mem->arena_used += mem->dev.block_size;
	return block;
}

/* A block for reading: volume_dev_ops. */
static const uint8_t *mem_peek(struct volume_dev *dev, uint64_t block)
{
	struct mem_dev *mem = (struct mem_dev *)dev;

	if (block >= dev->blocks) {
		dev->full = false;
		return NULL;
	}
	return mem->table[block] != NULL ? mem->table[block] : zeros;
}

/* A block for writing: volume_dev_ops. NULL: no such block, or no memory. What
 * is not overwritten whole begins as zeros. */
static uint8_t *mem_poke(struct volume_dev *dev, uint64_t block, bool whole)
{
	struct mem_dev *mem = (struct mem_dev *)dev;

	dev->full = false;
	if (block >= dev->blocks) {
		return NULL;
	}
	if (mem->table[block] == NULL) {
		uint8_t *data = mem_alloc(mem);

		if (data != NULL && !whole) {
			memset(data, 0, dev->block_size);
		}
		mem->table[block] = data;
		mem->missing -= data != NULL;
		dev->full = data == NULL;
	}
	return mem->table[block];
}

/* The blocks read as zeros from now on; their memory goes to the next that is
 * written, the first block's first: what lay together does so again. Its content
 * stays there until then: mem_poke() clears it, unless all of it is to be
 * overwritten. */
static void mem_discard(struct volume_dev *dev, uint64_t block, uint64_t count)
{
	struct mem_dev *mem = (struct mem_dev *)dev;

	if (block >= dev->blocks) {
		return;
	}
	count = count < dev->blocks - block ? count : dev->blocks - block;
	while (count-- > 0) {
		uint8_t *data = mem->table[block + count];

		if (data != NULL) {
			memcpy(data, &mem->free, sizeof(mem->free));
			mem->free = data;
			mem->frees++;
			mem->table[block + count] = NULL;
			mem->missing++;
		}
	}
}

/* How many blocks can get memory: volume_dev_ops. The heap may have less. */
static uint64_t mem_room(struct volume_dev *dev)
{
	const struct mem_dev *mem = (const struct mem_dev *)dev;
	uint64_t room = mem->frees, more = ARENA_BYTES >> dev->block_shift;

	if (mem->arenas != NULL) {
		room += (ARENA_BYTES - mem->arena_used) >> dev->block_shift;
	}
	return room >= mem->missing ||
	       mem->arenas_left > (mem->missing - room) / more
	       ? UINT64_MAX : room + mem->arenas_left * more;
}

/* The image's memory is not ours to free. */
static void mem_close(struct volume_dev *dev)
{
	struct mem_dev *mem = (struct mem_dev *)dev;

	while (mem->arenas != NULL) {
		struct arena *arena = mem->arenas;

		mem->arenas = arena->next;
		free(arena);
	}
	free(mem->table);
	free(mem);
}

/* The table of a plain image: all of it. Returns 0 or ENOMEM. */
static int mem_load_plain(struct mem_dev *mem)
{
	uint32_t shift = mem->dev.block_shift;
	/* A last piece shorter than a block is not part of the device. */
	uint64_t blocks = mem->size >> shift;
	uint8_t **table = calloc(blocks + 1, sizeof(*table));

	if (table == NULL) {
		return ENOMEM;
	}
	for (uint64_t i = 0; i < blocks; i++) {
		table[i] = mem->plain + (i << shift);
	}
	free(mem->table);
	mem->table = table;
	mem->dev.blocks = blocks;
	return 0;
}

/* Cuts each block of a sparse image into many. Returns 0, EINVAL (they cannot be
 * made longer) or ENOMEM. */
static int mem_split(struct mem_dev *mem, uint32_t shift)
{
	uint32_t by = mem->dev.block_shift - shift;
	uint64_t blocks = mem->dev.blocks << by;
	uint8_t **table;

	if (shift > mem->dev.block_shift) {
		return EINVAL;
	}
	table = calloc(blocks + 1, sizeof(*table));
	if (table == NULL) {
		return ENOMEM;
	}
	for (uint64_t i = 0; i < blocks; i++) {
		uint8_t *whole = mem->table[i >> by];

		table[i] = whole == NULL ? NULL
			   : whole + ((i & ((1u << by) - 1)) << shift);
	}
	free(mem->table);
	mem->table = table;
	mem->dev.blocks = blocks;
	mem->missing <<= by;
	return 0;
}

/* The length of blocks: volume_dev_ops. */
static int mem_set_block(struct volume_dev *dev, uint32_t shift)
{
	struct mem_dev *mem = (struct mem_dev *)dev;
	uint32_t before = dev->block_shift;
	int error;

	if (mem->plain == NULL) {
		error = mem_split(mem, shift);
		shift = error == 0 ? shift : before;
	} else {
		dev->block_shift = shift;
		error = mem_load_plain(mem);
		shift = error == 0 ? shift : before;
	}
	dev->block_shift = shift;
	dev->block_size = 1u << shift;
	return error;
}

static const struct volume_dev_ops mem_ops = {
	.peek = mem_peek,
	.poke = mem_poke,
	.change = mem_poke,
	.discard = mem_discard,
	.set_block = mem_set_block,
	.room = mem_room,
	.close = mem_close,
};

/* Fills blocks with a repeated word, as CHUNK_FILL wants. Zeros need no
 * memory. */
static int mem_fill(struct mem_dev *mem, uint64_t block, uint32_t count,
		    const uint8_t *word)
{
	uint32_t value;

	memcpy(&value, word, sizeof(value));
	if (value == 0) {
		return 0;
	}
	for (; count > 0; block++, count--) {
		uint8_t *data = mem_poke(&mem->dev, block, true);

		if (data == NULL) {
			return ENOMEM;
		}
		for (size_t i = 0; i < mem->dev.block_size;
		     i += sizeof(value)) {
			memcpy(data + i, &value, sizeof(value));
		}
	}
	return 0;
}

/* Enters one chunk, of which body bytes follow its header, for blocks from
 * number block on. Returns 0, EINVAL (too many blocks, a body of the wrong
 * length, a type we do not know) or ENOMEM. */
static int mem_chunk(struct mem_dev *mem, const struct sparse_chunk *chunk,
		     uint8_t *data, size_t body, uint64_t block)
{
	/* block is never above the device's end: this was so for the chunks
	 * before. */
	if (chunk->blocks > mem->dev.blocks - block) {
		return EINVAL;
	}
	switch (chunk->type) {
	case CHUNK_RAW:
		if (body != (uint64_t)chunk->blocks * mem->dev.block_size) {
			return EINVAL;
		}
		for (uint32_t i = 0; i < chunk->blocks; i++) {
			mem->table[block + i] = data +
				(i << (uint64_t)mem->dev.block_shift);
		}
		mem->missing -= chunk->blocks;
		return 0;
	case CHUNK_FILL:
		if (body != sizeof(uint32_t)) {
			return EINVAL;
		}
		return mem_fill(mem, block, chunk->blocks, data);
	case CHUNK_DONT_CARE:
		return body == 0 ? 0 : EINVAL;
	default:
		return EINVAL;
	}
}

/* Enters all chunks, which must cover the device exactly. Every length is
 * checked against what is left of the image before it is used. */
static int mem_load_sparse(struct mem_dev *mem, uint8_t *image, size_t size,
			   const struct sparse_header *header)
{
	size_t at = sizeof(*header);
	uint64_t block = 0;

	for (uint32_t i = 0; i < header->chunks; i++) {
		struct sparse_chunk chunk;
		int error;

		if (size - at < sizeof(chunk)) {
			return EINVAL;
		}
		/* Its place has no alignment to speak of. */
		memcpy(&chunk, image + at, sizeof(chunk));
		if (chunk.size < sizeof(chunk) || chunk.size > size - at) {
			return EINVAL;
		}
		error = mem_chunk(mem, &chunk, image + at + sizeof(chunk),
				  chunk.size - sizeof(chunk), block);
		if (error != 0) {
			return error;
		}
		at += chunk.size;
		block += chunk.blocks;
	}
	return block == mem->dev.blocks ? 0 : EINVAL;
}

/* Makes the table. header is zero for an image too short to have one. */
static int mem_load(struct mem_dev *mem, uint8_t *image, size_t size,
		    const struct sparse_header *header)
{
	if (header->magic != SPARSE_MAGIC) {
		mem->plain = image;
		mem->size = size;
		return mem_load_plain(mem);
	}
	/* 8 bytes for each block: what the device costs beside its data. */
	mem->dev.blocks = mem->missing = header->blocks;
	mem->table = calloc(mem->dev.blocks + 1, sizeof(*mem->table));
	return mem->table == NULL ? ENOMEM
				  : mem_load_sparse(mem, image, size, header);
}

/**
 * Makes a block device of the image of size bytes: sparse or plain, told apart
 * by the magic number. Writes go into the image's own memory, which must stay
 * as long as the device. Returns 0, EINVAL for a sparse image that is not
 * well-formed or not of 4096-byte blocks, or ENOMEM.
 * [Android "libsparse: sparse_format.h"]
 */
int volume_mem_open(void *image, size_t size, struct volume_dev **out)
{
	struct sparse_header header = { 0 };
	struct mem_dev *mem;
	int error;

	if (size >= sizeof(header)) {
		memcpy(&header, image, sizeof(header));
	}
	if (header.magic == SPARSE_MAGIC &&
	    (header.major != 1 || header.header_size != sizeof(header) ||
	     header.chunk_header_size != sizeof(struct sparse_chunk) ||
	     header.block_size != 1u << FIRST_SHIFT)) {
		return EINVAL;
	}
	mem = calloc(1, sizeof(*mem));
	if (mem == NULL) {
		return ENOMEM;
	}
	mem->dev.ops = &mem_ops;
	mem->dev.instant = true;
	mem->arenas_left = SIZE_MAX;
	mem->dev.block_shift = FIRST_SHIFT;
	mem->dev.block_size = 1u << FIRST_SHIFT;
	error = mem_load(mem, image, size, &header);
	if (error != 0) {
		mem_close(&mem->dev);
		return error;
	}
	*out = &mem->dev;
	return 0;
}

/**
 * What the rest of the program keeps of the heap: with it a full volume is a full
 * disk, and whoever makes room on it can still ask. dev: a volume_mem_open()'s.
 */
void volume_mem_limit(struct volume_dev *dev, size_t bytes)
{
	((struct mem_dev *)dev)->arenas_left = bytes / sizeof(struct arena);
}
