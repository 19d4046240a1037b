/* SPDX-License-Identifier: MIT */
/* Machine checks: see x86/mc.c. */
#ifndef ISTHMUS_MC_H
#define ISTHMUS_MC_H

#include <types.h>

#define MCG_STATUS_RIPV	BIT64(0)	/* could go on at the saved RIP */
#define MCG_STATUS_EIPV	BIT64(1)	/* the instruction there met it */

#define MC_STATUS_VAL	BIT64(63)
#define MC_STATUS_OVER	BIT64(62)	/* an earlier one was lost */
#define MC_STATUS_UC	BIT64(61)	/* not corrected */
#define MC_STATUS_EN	BIT64(60)	/* reporting was enabled */
#define MC_STATUS_PCC	BIT64(57)	/* processor context corrupt */
#define MC_STATUS_AR	BIT64(55)	/* with recovery: used already */

enum mc_severity { MC_NONE, MC_CORRECTED, MC_UNCORRECTED, MC_FATAL };
enum mc_verdict { MC_GO_ON, MC_END_PARTITION, MC_PANIC };

struct mc_bank {
	uint64_t status, addr, misc;
	uint32_t number;
};

enum mc_severity mc_severity(uint64_t status, bool recovery);
enum mc_verdict mc_judge(uint64_t mcg_status, enum mc_severity worst,
			 bool recovery, bool in_guest);
void mc_init(void);
bool mc_in_guest(uint64_t *status);
void mc_in_hypervisor(void);

#endif
