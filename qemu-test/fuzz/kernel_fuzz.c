/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer on kernels' images, bzImage and ELF: what is taken lies within the
 * file and within the memory, whatever the file says.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host-bridge/guest/elf_image.h"
#include "host-bridge/guest/linux_image.h"

#define RAM	(64ull << 20)
#define PIECE	(64ull << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t low[LINUX_LOW_END - LINUX_LOW_GPA];
static uint8_t window[PIECE];

static void bzimage(const uint8_t *file, size_t size,
		    struct linux_layout *layout)
{
	struct linux_image image;

	if (linux_image_parse(file, size, &image) ||
	    linux_image_place(&image, layout) ||
	    linux_image_low(low, &image, layout, "a b")) {
		return;
	}
	assert(image.kernel_offset + image.kernel_size <= size);
	assert(layout->kernel_gpa >= LINUX_HIGH_RAM);
	assert(layout->kernel_gpa + image.init_size <= RAM);
}

static void elf(const uint8_t *file, size_t size, struct linux_layout *layout)
{
	struct elf_image image;
	uint64_t top = 0;

	if (elf_image_parse(file, size, &image) ||
	    elf_image_place(&image, layout) ||
	    elf_image_low(low, &image, layout, "a b")) {
		return;
	}
	for (unsigned i = 0; i < image.count; i++) {
		const struct elf_segment *s = &image.segments[i];

		assert(s->data >= file && s->data_size <= s->size);
		assert(s->data + s->data_size <= file + size);
		assert(s->gpa >= LINUX_HIGH_RAM && s->gpa + s->size <= RAM);
		top = s->gpa + s->size > top ? s->gpa + s->size : top;
	}
	assert(layout->initrd_size == 0 || layout->initrd_gpa >= top);
	for (uint64_t gpa = LINUX_HIGH_RAM; gpa < RAM; gpa += PIECE) {
		(void)elf_image_piece(&image, gpa, window, PIECE);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct linux_layout layout = { .ram = RAM };
	uint8_t *file;

	if (size == 0) {
		return 0;
	}
	layout.initrd_size = data[0] * 4096u;
	/* A copy of just this size: what is behind it is noticed. */
	file = malloc(size);
	memcpy(file, data, size);
	memset(low, 0, sizeof(low));
	(elf_image_is(file, size) ? elf : bzimage)(file, size, &layout);
	assert(layout.initrd_gpa + layout.initrd_size <= RAM);
	free(file);
	return 0;
}
