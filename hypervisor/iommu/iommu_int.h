/* SPDX-License-Identifier: MIT */
/*
 * Between the files of iommu/: units, tables, and what a vendor's code does for
 * the rest. All waits for a unit end by the clock.
 */
#ifndef ISTHMUS_IOMMU_INT_H
#define ISTHMUS_IOMMU_INT_H

#include <iommu.h>

/* How entries of the tables are written: data, not code. */
struct iommu_format {
	uint64_t present;	/* any of these set: there is something */
	uint64_t every;		/* bits of every entry, which may be read by */
	uint64_t leaf;		/* besides, of one that is a page's */
	uint64_t write;
	uint64_t level;		/* times the level of the table it names */
};

#define IOMMU_ADDRESS	0x000ffffffffff000ull
#define IOMMU_LEVELS	4u	/* of every table; a unit may begin one below */

struct iommu_domain {
	uint32_t id;		/* 0: nothing */
	hpa_t root;		/* of IOMMU_LEVELS levels */
};

struct iommu_unit {
	const struct boot_iommu *boot;
	volatile uint8_t *regs;
	bool failed;		/* it did not answer: never used again */
	bool interrupts;	/* to be remapped */
	bool coherent;		/* it sees what lies in the CPU's cache */
	bool wide;		/* interrupts' destinations have 32 bits */
	uint32_t levels;	/* of its walks */
	uint64_t features;	/* vendor's */
	uint64_t *table;	/* root table, or device table */
	uint64_t *nothing;	/* an empty page */
	uint64_t *remap;	/* interrupt entries of all functions */
	uint64_t *queue;	/* 256 commands of 16 bytes */
	uint32_t tail;		/* index of the next */
	uint64_t *log;		/* 256 events of 16 bytes */
	volatile uint64_t *done;/* the unit writes the number of a wait here */
	uint64_t waits;
	uint64_t faults;	/* since boot */
	uint32_t overflows;	/* times that it had more than its record holds */
	uint64_t last_address;	/* of the last one .. */
	uint64_t last_what;	/* .. with HC_IOMMU_* */
};

struct iommu_fault {
	uint32_t function;
	uint32_t reason;	/* the vendor's number */
	uint64_t address;
	bool write;
	bool interrupt;		/* a message that is none of its own */
};

/* What waits returns false when the unit has not answered. */
struct iommu_ops {
	const char *name;
	const struct iommu_format *format;
	/* What is missing to use this unit, or NULL. Changes nothing. */
	const char *(*probe)(struct iommu_unit *u);
	/* From whatever firmware left to: no function reaches anything. */
	bool (*take_over)(struct iommu_unit *u);
	/* Gives a function a domain; NULL: nothing, and no interrupts. *full:
	 * there was no memory for it, nothing is changed. */
	bool (*set)(struct iommu_unit *u, uint32_t function,
		    const struct iommu_domain *d, bool *full);
	/* The interrupt entry with the number of its vector. */
	bool (*interrupt)(struct iommu_unit *u, uint32_t function,
			  uint8_t vector, bool level, uint32_t apic_id,
			  bool *full);
	/* The top table of a function as the unit finds it; 0: none. */
	uint64_t (*root)(const struct iommu_unit *u, uint32_t function);
	/* Takes the oldest fault out of the unit's record. */
	bool (*fault)(struct iommu_unit *u, struct iommu_fault *f);
};

extern const struct iommu_ops iommu_vtd;
extern const struct iommu_ops iommu_amdvi;

extern struct iommu_unit iommu_units[BOOT_MAX_IOMMUS];
extern uint32_t iommu_unit_count;	/* 0: none, or none of use */
extern const struct iommu_ops *iommu_ops; /* of all of them; NULL: none */
extern const struct boot_iommus *iommu_told;
extern bool iommu_interrupts;		/* remapped, by all units */

/* A function, for the log. */
#define IOMMU_FUNCTION	"%04x:%02x:%02x.%u"
#define IOMMU_FUNCTION_ARGS(f) (f) >> 16, (f) >> 8 & 0xff, \
			       (f) >> 3 & 0x1f, (f) & 7

/* iommu.c: what vendors wait by, and write to */
const char *iommu_owner(uint32_t function);
bool iommu_wait(struct iommu_unit *u, uint32_t reg, uint32_t mask,
		uint32_t value);
bool iommu_wait_done(struct iommu_unit *u);
uint64_t *iommu_frame(void);
void iommu_written(const void *from, uint64_t bytes);

/* iommu_domain.c */
hv_status_t iommu_domain_get(uint32_t function, const struct iommu_pool *pool,
			     struct iommu_domain *d) MUST_CHECK;
void iommu_domain_put(struct iommu_domain *d);
uint64_t iommu_domain_walk(uint64_t root, uint32_t levels, uint64_t bus,
			   uint64_t *span);

/* iommu_report.c */
void iommu_report_reach(const struct iommu_unit *u, uint32_t function);

#endif
