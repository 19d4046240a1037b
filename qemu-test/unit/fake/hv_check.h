/* SPDX-License-Identifier: MIT */
/* The checker of isolation, on the machine of hv_iommu.h: only devices are there. */
#ifndef HV_CHECK_H
#define HV_CHECK_H

#include "hv_iommu.h"

const char *isolation(const struct boot_info *bi, const uint32_t *owned, uint32_t n);
uint64_t *table_entry(uint64_t root, uint32_t depth, uint64_t bus);

/* With e another value, the checker says that; then nothing. */
#define BROKEN(e, value, words) do {					\
	__auto_type at_ = &(e);						\
	__auto_type old_ = *at_;					\
									\
	*at_ = (value);							\
	assert_true(old_ != *at_);					\
	if (!strstr(isolation(&bi, OWNED, ARRAY_SIZE(OWNED)), words)) {	\
		fail_msg("not \"%s\": %s", words, iommu_log);		\
	}								\
	*at_ = old_;							\
	assert_string_equal(isolation(&bi, OWNED, ARRAY_SIZE(OWNED)), ""); \
} while (0)

#endif
