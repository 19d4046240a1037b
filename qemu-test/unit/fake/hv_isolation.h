/* SPDX-License-Identifier: MIT */
/*
 * The machine that the checker of isolation looks at in its unit test: a host, a template,
 * its child, channels, made by the hypervisor's own code, and the hypervisor's own map; and
 * what the checker says of it. For one test.
 */
#ifndef HV_ISOLATION_H
#define HV_ISOLATION_H

#include <asm/prctl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hv_fork.h"
#include "hypervisor/check/check.h"
#include "hypervisor/iommu/iommu_int.h"

#define PAGE	"it reaches a page that is not its own, or with more rights"
#define TWICE	"a page that another can write, too"
#define TABLE	"a table is not memory of its owner's"
#define USED	"a table is used twice"
#define OWN	"the hypervisor maps what it should not"
#define ADDR	0x000ffffffffff000ull
#define NX	BIT64(63)

#define HOST_CHANNEL	0xa0000000ull
#define GUEST_CHANNEL	0xe4000000ull
#define SECTION		(BIG_PAGE_SIZE + PAGE_SIZE)
#define HOST_MMIO	0xb0000000ull
#define TEXT		2u		/* pages of the image, then one of constants .. */
#define IMAGE		5u		/* .. and data, so many in all */

/* hypervisor.lds: where these end. */
__asm__(".globl text_end, rodata_end\n"
	".set text_end, 0xffffffff80002000\n"
	".set rodata_end, 0xffffffff80003000\n");

struct iommu_unit iommu_units[BOOT_MAX_IOMMUS];
uint32_t iommu_unit_count;
const struct iommu_ops *iommu_ops, iommu_vtd;
uint64_t paging_cr3;
static char said[256];
static bool answers = true;
static uint32_t looked[2];
static uint64_t own_root, image;

static struct pt_format ept = {
	.table = 7, .present = 7, .leaf = BIT64(0) | BIT64(6), .large = BIT64(7),
	.write = BIT64(1), .exec = BIT64(2), .cached = 6ull << 3,
};
static struct pt_format npt = {
	.table = 7, .present = 1, .leaf = BIT64(0) | BIT64(2), .large = BIT64(7),
	.write = BIT64(1), .no_exec = BIT64(63), .uncached = BIT64(3) | BIT64(4),
};

/* Bitmaps of MSRs: all exit, but FS_BASE. */
uint8_t *msr_map(void)
{
	uint8_t *map = hpa_ptr(frame_boot(FRAME_HYPERVISOR, 2 * PAGE_SIZE, "MSRs"));

	memset(map, 0xff, 2 * PAGE_SIZE);
	if (hvm == &hvm_vmx) {
		map[1024 + 0x100 / 8] &= 0xfe;
	} else {
		map[2048 + 0x100 / 4] &= 0xfc;
	}
	return map;
}

static void vcpu_ok(struct vcpu *v)
{
	(void)v;
}

static void copy(struct vcpu *v, const struct vcpu *from)
{
	(void)v;
	(void)from;
}

static uint64_t reg_of(struct vcpu *v, enum vcpu_reg reg)
{
	(void)v;
	(void)reg;
	return 0;
}

const struct hvm_ops hvm_vmx = {
	.gpm_format = &ept, .vcpu_init = vcpu_ok,
	.vcpu_copy = copy, .vcpu_get = reg_of,
};
const struct hvm_ops hvm_svm = {
	.gpm_format = &npt, .vcpu_init = vcpu_ok,
	.vcpu_copy = copy, .vcpu_get = reg_of,
};
const struct hvm_ops *hvm = &FORMAT;

void log_write(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
}

enum hc_iommu iommu_state(void)
{
	return HC_IOMMU_NONE;
}

uint32_t read_device32(const volatile uint8_t *at)
{
	return *at;
}

uint64_t read_device64(const volatile uint8_t *at)
{
	return *at;
}

uint64_t read_cr3(void)
{
	return own_root;
}

uint64_t rdtsc(void)
{
	return fake.tsc += 100000;
}

void check_cpu_state(void)
{
	looked[this_cpu()->index]++;
}

void lapic_ipi(uint32_t apic_id, uint8_t vector)
{
	assert_int_equal(apic_id, cpus[1]->apic_id);
	assert_int_equal(vector, VECTOR_CHECK);
	if (answers) {
		syscall(SYS_arch_prctl, ARCH_SET_GS, &fake_cpu[1]);
		check_cpu();
		syscall(SYS_arch_prctl, ARCH_SET_GS, &fake_cpu[0]);
	}
}

/* --- looking and breaking ----------------------------------------------- */

/* The words: "" if all is right. */
static const char *look(void)
{
	struct guest_regs r;

	assert_int_equal(check_query(&r), HC_OK);
	assert_int_equal(r.rdi, strstr(said, "isolation holds") == NULL);
	return r.rdi ? said : "";
}

static void finds(const char *words, const struct partition *p)
{
	const char *found = look();

	if (!strstr(found, words) || (p && !strstr(found, p->config->name))) {
		fail_msg("not \"%s\": \"%s\"", words, found);
	}
}

/* With *e another value. */
static void broken(uint64_t *e, uint64_t value, const char *words, const struct partition *p)
{
	uint64_t old = *e;

	assert_int_not_equal(value, old);
	*e = value;
	finds(words, p);
	*e = old;
	assert_string_equal(look(), "");
}

static uint64_t *entry_of(uint64_t root, uint64_t at, int level)
{
	uint64_t *t = hpa_ptr(HPA(root));
	int l;

	for (l = 3; l > level; l--) {
		uint64_t e = t[at >> (12 + 9 * l) & 511];

		assert_true(e & 1 && !(e & BIT64(7)));
		t = hpa_ptr(HPA(e & ADDR));
	}
	return &t[at >> (12 + 9 * level) & 511];
}

static uint64_t *entry(struct partition *p, uint64_t gpa, int level)
{
	return entry_of(p->gpm_root.v, gpa, level);
}

/* Small RAM: a page to be read, written and executed. */
static uint64_t ram(uint64_t pa)
{
	return (*entry(linux_p, UNIT(2), 0) & ~ADDR) | pa;
}

static uint64_t large(uint64_t pa)
{
	return ram(pa) | BIT64(7);
}

static uint64_t exec(uint64_t e)
{
	return hvm == &hvm_vmx ? e | BIT64(2) : e & ~NX;
}

static uint64_t page_owned_by(uint32_t owner)
{
	uint64_t pa = 0x100000;

	while (owner_of(pa) != owner) {
		pa += PAGE_SIZE;
	}
	return pa;
}

/* --- the machine ---------------------------------------------------------- */

static void own_map(uint64_t va, uint64_t pa, uint64_t bits)
{
	uint64_t *t = hpa_ptr(HPA(own_root));
	int l;

	for (l = 3; l > 0; l--) {
		uint64_t *e = &t[va >> (12 + 9 * l) & 511];

		*e = *e ? *e : frame_alloc(FRAME_HYPERVISOR, true).v | 3;
		t = hpa_ptr(HPA(*e & ADDR));
	}
	t[va >> 12 & 511] = pa | bits;
}

static bool is_mapped(uint64_t pa)
{
	return (pa < 0xa0000 || pa >= 0x100000) &&
	       (pa < image || pa >= image + IMAGE * PAGE_SIZE) &&
	       (pa < MACHINE - 2 * MIB || pa >= MACHINE - MIB);
}

static int machine(void **state)
{
	uint64_t pa;

	section_size = SECTION;
	host_restarts = 1;
	if (fork_machine(state)) {
		return -1;
	}
	template(state);
	put(forked(0), UNIT(1), 1);
	(void)get(child[0]->vcpus[0], UNIT(2));
	own_root = frame_alloc(FRAME_HYPERVISOR, true).v;
	image = frame_alloc_run(FRAME_HYPERVISOR, BIG_PAGE_SIZE).v;
	boot.image_phys = image;
	boot.image_size = IMAGE * PAGE_SIZE;
	for (pa = 0; pa < MACHINE; pa += PAGE_SIZE) {
		if (is_mapped(pa)) {
			own_map(DMAP_BASE + pa, pa, NX | 3);
		}
	}
	for (pa = 0; pa < IMAGE; pa++) {
		own_map(HV_IMAGE_BASE + pa * PAGE_SIZE, image + pa * PAGE_SIZE,
			pa < TEXT ? 1 : pa == TEXT ? NX | 1 : NX | 3);
	}
	own_map(0xfffffe8000000000, 0xfee00000, NX | 0x1b);
	check_init();
	return 0;
}

#endif
