/* SPDX-License-Identifier: MIT */
/*
 * The screen: the first framebuffer of the firmware's that can be drawn on
 * directly. It is drawn on by our own hand from the beginning, so that nothing
 * changes there when the firmware goes; the firmware is asked for nothing but
 * where it is, and is believed as far as the numbers agree.
 */
#include "loader.h"
#include "text/fbtext.h"

#define SCREEN_BYTES_MAX	(256 * MIB)
#define BLUE_LOW		0x000000ffu

static EFI_GUID graphics_guid = EFI_GRAPHICS_OUTPUT_PROTOCOL_GUID;

static struct boot_screen found;
static struct fbtext text;

/**
 * Takes a graphics adapter of the firmware's for the screen, if there is none yet;
 * false: it cannot be drawn on.
 */
bool screen_take(EFI_HANDLE handle)
{
	EFI_GRAPHICS_OUTPUT_PROTOCOL *gop;
	const EFI_GRAPHICS_OUTPUT_MODE_INFORMATION *m;
	uint64_t base, size;

	if (found.size != 0 ||
	    EFI_ERROR(efi_bs->HandleProtocol(handle, &graphics_guid, (void **)&gop)) ||
	    gop->Mode == NULL || gop->Mode->Info == NULL) {
		return false;
	}
	m = gop->Mode->Info;
	base = gop->Mode->FrameBufferBase;
	size = round_up(gop->Mode->FrameBufferSize, PAGE_SIZE);
	if (m->PixelFormat >= PixelBltOnly || base == 0 || base % PAGE_SIZE != 0 ||
	    size > SCREEN_BYTES_MAX || base > UINT64_MAX - size ||
	    m->PixelsPerScanLine < m->HorizontalResolution ||
	    (uint64_t)m->PixelsPerScanLine * m->VerticalResolution > size / 4) {
		return false;
	}
	found = (struct boot_screen) {
		.base = base, .size = size, .width = m->HorizontalResolution,
		.height = m->VerticalResolution, .stride = m->PixelsPerScanLine,
		.blue_first = m->PixelFormat == PixelBlueGreenRedReserved8BitPerColor ||
			      (m->PixelFormat == PixelBitMask &&
			       m->PixelInformation.BlueMask == BLUE_LOW) };
	fbtext_init(&text, (volatile uint32_t *)base, found.width, found.height, found.stride,
		    found.blue_first);
	fbtext_text(&text, FBTEXT_CLEAR);
	return true;
}

/** Text with control sequences; seen at once. Without a screen nothing happens. */
void screen_write(const char *bytes)
{
	fbtext_text(&text, bytes);
	fbtext_draw(&text);
}

/**
 * Tells the hypervisor and the host partition of it, as device memory of that one. A
 * framebuffer in memory is the firmware's mistake, and nobody's screen.
 */
void screen_tell(const struct memmap *map, struct boot_info *info, struct host_info *host)
{
	struct boot_partition *p = &info->partitions[0];

	if (found.size == 0 || memmap_overlaps(map, found.base, found.base + found.size)) {
		return;
	}
	info->screen = found;
	p->mmio[p->mmio_count++] = (struct boot_region) {
		.gpa = HOST_FRAMEBUFFER_GPA, .hpa = found.base, .size = found.size,
		.flags = BOOT_MAP_WRITE | BOOT_MAP_UNCACHED };
	host->framebuffer = (struct host_framebuffer) {
		.gpa = HOST_FRAMEBUFFER_GPA, .width = found.width, .height = found.height,
		.stride = found.stride, .blue_first = found.blue_first };
}

/** Where it ends, for page tables; 0: there is none. */
uint64_t screen_end(void)
{
	return found.base + found.size;
}
