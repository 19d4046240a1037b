/* SPDX-License-Identifier: MIT */
/*
 * Included before everything else when hypervisor sources are built for unit
 * tests: privileged instructions become functions that fakes.c supplies, and
 * physical memory lies where a program can map it.
 */
#ifndef HV_MACHINE_H
#define HV_MACHINE_H

#ifndef DMAP_BASE
#define DMAP_BASE	0x200000000000ull
#endif

struct lock;
void fake_lock_held(const struct lock *l);
#define LOCK_HELD(l)	fake_lock_held(l)

#define cpuid		machine_cpuid
#define rdmsr		machine_rdmsr
#define wrmsr		machine_wrmsr
#define rdtsc		machine_rdtsc
#define inb		machine_inb
#define outb		machine_outb
#define outw		machine_outw
#define inl		machine_inl
#define outl		machine_outl
#define xsetbv		machine_xsetbv
#define xgetbv		machine_xgetbv
#define cpu_halt_forever machine_halt_forever
#define cpu_wrmsr_fence machine_wrmsr_fence
#define cpu_pause	machine_pause
#define cpu_sti		machine_sti
#define cpu_cli		machine_cli
#define cpu_sti_cli	machine_sti_cli
#define cpu_sti_hlt_cli	machine_sti_hlt_cli
#define xsave		machine_xsave
#define xrstor		machine_xrstor
#define read_dr0	machine_read_dr0
#define write_dr0	machine_write_dr0
#define read_dr1	machine_read_dr1
#define write_dr1	machine_write_dr1
#define read_dr2	machine_read_dr2
#define write_dr2	machine_write_dr2
#define read_dr3	machine_read_dr3
#define write_dr3	machine_write_dr3
#define read_dr6	machine_read_dr6
#define write_dr6	machine_write_dr6
#define read_cr0	machine_read_cr0
#define read_cr2	machine_read_cr2
#define write_cr2	machine_write_cr2
#define read_cr3	machine_read_cr3
#define read_cr4	machine_read_cr4
#define x87_clear_pointers machine_x87_clear_pointers
#define write_cr0	machine_write_cr0
#define write_cr3	machine_write_cr3
#define write_cr4	machine_write_cr4
#define read_device32 machine_read_device32
#define read_device64 machine_read_device64
#define write_device32 machine_write_device32
#define write_device64 machine_write_device64
#define cache_flush machine_cache_flush
#include <x86.h>
#undef cpuid
#undef read_device32
#undef read_device64
#undef write_device32
#undef write_device64
#undef cache_flush
#undef rdmsr
#undef wrmsr
#undef rdtsc
#undef inb
#undef outb
#undef outw
#undef inl
#undef outl
#undef xsetbv
#undef xgetbv
#undef cpu_halt_forever
#undef cpu_wrmsr_fence
#undef cpu_pause
#undef cpu_sti
#undef cpu_cli
#undef cpu_sti_cli
#undef cpu_sti_hlt_cli
#undef xsave
#undef xrstor
#undef read_dr0
#undef write_dr0
#undef read_dr1
#undef write_dr1
#undef read_dr2
#undef write_dr2
#undef read_dr3
#undef write_dr3
#undef read_dr6
#undef write_dr6
#undef read_cr0
#undef read_cr2
#undef write_cr2
#undef read_cr3
#undef read_cr4
#undef x87_clear_pointers
#undef write_cr0
#undef write_cr3
#undef write_cr4

struct cpuid_regs cpuid(uint32_t leaf, uint32_t sub);
uint32_t read_device32(const volatile uint8_t *at);
uint64_t read_device64(const volatile uint8_t *at);
void write_device32(volatile uint8_t *at, uint32_t v);
void write_device64(volatile uint8_t *at, uint64_t v);
void cache_flush(const void *at);
uint64_t rdmsr(uint32_t msr);
void wrmsr(uint32_t msr, uint64_t v);
uint64_t rdtsc(void);
uint8_t inb(uint16_t port);
void outb(uint16_t port, uint8_t v);
void outw(uint16_t port, uint16_t v);
uint32_t inl(uint16_t port);
void outl(uint16_t port, uint32_t v);
void xsetbv(uint32_t reg, uint64_t v);
uint64_t xgetbv(uint32_t reg);
void NORETURN cpu_halt_forever(void);
void cpu_wrmsr_fence(void);
void cpu_pause(void);
void cpu_sti(void);
void cpu_cli(void);
void cpu_sti_cli(void);
void cpu_sti_hlt_cli(void);
void xsave(void *area, uint64_t mask);
void xrstor(const void *area, uint64_t mask);
uint64_t read_dr0(void);
void write_dr0(uint64_t v);
uint64_t read_dr1(void);
void write_dr1(uint64_t v);
uint64_t read_dr2(void);
void write_dr2(uint64_t v);
uint64_t read_dr3(void);
void write_dr3(uint64_t v);
uint64_t read_dr6(void);
void write_dr6(uint64_t v);
uint64_t read_cr0(void);
uint64_t read_cr2(void);
void write_cr2(uint64_t v);
uint64_t read_cr3(void);
uint64_t read_cr4(void);
void x87_clear_pointers(void);
void write_cr0(uint64_t v);
void write_cr3(uint64_t v);
void write_cr4(uint64_t v);

#define vmread		machine_vmread
#define vmwrite		machine_vmwrite
#define vmptrld		machine_vmptrld
#define vmclear		machine_vmclear
#include "hypervisor/vmx/vmcs.h"
#undef vmread
#undef vmwrite
#undef vmptrld
#undef vmclear

uint64_t vmread(enum vmcs_field f);
void vmwrite(enum vmcs_field f, uint64_t v);
void vmptrld(hpa_t vmcs);
void vmclear(hpa_t vmcs);

#endif
