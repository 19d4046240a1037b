/* SPDX-License-Identifier: MIT */
/* What hv_cost_test.c links and no remote call may reach. No header is
 * included: that there are no arguments is not true. */
#include <stdlib.h>

#define NEVER(f)	void f(void); void f(void) { abort(); }

NEVER(channel_doorbell)
NEVER(channel_query)
NEVER(channel_set_state)
NEVER(cpuid_emulate)
NEVER(frame_alloc)
NEVER(frame_alloc_run)
NEVER(frame_owned)
NEVER(gpm_execute)
NEVER(gpm_lookup)
NEVER(guest_fetch)
NEVER(iommu_report_query)
NEVER(irq_control)
NEVER(irq_handle)
NEVER(kvmclock_msr_write)
NEVER(kvmclock_update)
NEVER(log_read)
NEVER(mc_in_guest)
NEVER(mmio_is_lapic)
NEVER(mmio_lapic)
NEVER(paging_map_device)
NEVER(partition_donate)
NEVER(partition_populate)
NEVER(partition_start)
NEVER(partition_stop)
NEVER(promise_sure)
NEVER(svm_check_vmcb)
NEVER(vlapic_base_write)
NEVER(vlapic_deadline_read)
NEVER(vlapic_deadline_write)
NEVER(vlapic_msr_read)
NEVER(vlapic_msr_write)
NEVER(vlapic_set_tpr)
