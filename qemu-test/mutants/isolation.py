# SPDX-License-Identifier: MIT
"""Changes of the hypervisor that let a partition, or a device, reach what is not
its own: the checker must name each. For the boot test isolation-mutants."""

import os
import subprocess

ROOT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
ANY, SVM, VMX, QEMU = "any", "svm", "vmx", "qemu-tcg"
PAGE = "it reaches a page that is not its own, or with more rights"
OWN = "the hypervisor maps what it should not"
DEVICE = "a device is not translated"
TABLE = "a table is not memory of its owner's"

# What is broken; with which vendor's processors, or on which platform; the file; what stands there once,
# and instead; what the checker says; True: when it is asked, not before.
MUTANTS = (
    ("the peer's section can be written", ANY, "core/channel.c",
     "GPM_READ | (k == end ? GPM_WRITE : 0)", "GPM_READ | GPM_WRITE", PAGE),
    ("the state table can be written", ANY, "core/channel.c",
     "c->region, CHANNEL_PAGE, GPM_READ)",
     "c->region, CHANNEL_PAGE, GPM_READ | GPM_WRITE)", PAGE),
    ("a section of another channel", ANY, "core/channel.c",
     "HPA(c->region.v + off), s,", "HPA(c->region.v + 4096), s,", PAGE),
    ("every page can be executed", ANY, "core/partition.c",
     "(boot_flags & BOOT_MAP_EXEC ? GPM_EXEC : 0)", "GPM_EXEC", PAGE),
    ("a page too much of what is loaded", ANY, "core/partition.c",
     "if (gpm_map(p, GPA(r->gpa), HPA(r->hpa), r->size, GPM_READ |",
     "if (gpm_map(p, GPA(r->gpa), HPA(r->hpa), r->size +\n"
     "		    (r == p->config->regions) * PAGE_SIZE, GPM_READ |", PAGE),
    ("memory is not cached", ANY, "core/gpm.c",
     "(flags & GPM_UNCACHED ? f->uncached : f->cached);", "f->uncached;", PAGE),
    # Bochs's host partition has ports alone
    ("devices are cached", QEMU, "core/gpm.c",
     "(flags & GPM_UNCACHED ? f->uncached : f->cached);", "f->cached;", PAGE),
    ("the guest's PAT counts", VMX, "vmx/vmx.c",
     ".leaf = BIT64(0) | BIT64(6),", ".leaf = BIT64(0),", PAGE),
    ("the root is another's memory", ANY, "core/partition.c",
     "p->gpm_root = frame_boot(partition_frames(p), PAGE_SIZE,",
     "p->gpm_root = frame_boot(FRAME_HYPERVISOR, PAGE_SIZE,", TABLE),
    ("tables are nobody's", ANY, "core/gpm.c",
     "pa = frame_take(partition_frames(p));",
     "pa = frame_take(FRAME_HYPERVISOR);", TABLE),
    ("all ports are open", ANY, "core/partition.c",
     "__builtin_memset(p->native_ports, 0xff, 3 * PAGE_SIZE);",
     "__builtin_memset(p->native_ports, 0, 3 * PAGE_SIZE);",
     "a port is open"),
    ("a port too much", ANY, "core/partition.c",
     "port <= r->last; port++) {", "port <= r->last + 1u; port++) {",
     "a port is open"),
    ("ports that are forwarded are open", ANY, "core/partition.c",
     "r->policy == BOOT_PORT_NATIVE &&\n		     ", "", "a port is open"),
    ("an MSR is open", ANY, "x86/msr.c",
     "MSR_IA32_FS_BASE, MSR_IA32_GS_BASE, MSR_IA32_KERNEL_GS_BASE,\n};",
     "MSR_IA32_FS_BASE, MSR_IA32_GS_BASE, MSR_IA32_KERNEL_GS_BASE,\n"
     "	MSR_IA32_LSTAR,\n};", "an MSR is open"),
    ("all MSRs are open", ANY, "x86/msr.c",
     "__builtin_memset(map, 0xff, hvm->msr_bytes);",
     "__builtin_memset(map, 0, hvm->msr_bytes);", "an MSR is open"),
    ("the text can be written", ANY, "x86/paging.c",
     "map_image(image_start, text_end, PTE_P | PTE_G);",
     "map_image(image_start, text_end, PTE_P | PTE_G | PTE_W);", OWN),
    ("data can be executed", ANY, "x86/paging.c",
     "#define PTE_DATA	(PTE_P | PTE_W | PTE_G | PTE_NX)",
     "#define PTE_DATA	(PTE_P | PTE_W | PTE_G)", OWN),
    ("the image a second time", ANY, "x86/paging.c",
     "map_range(img + boot.image_size, img + BIG_PAGE_SIZE, PTE_DATA);",
     "map_range(img, img + BIG_PAGE_SIZE, PTE_DATA);", OWN),
    ("more than the screen", QEMU, "x86/paging.c",
     "bi->screen.base + bi->screen.size,",
     "bi->screen.base + bi->screen.size + BIG_PAGE_SIZE,", OWN),
    ("the firmware's memory, too", ANY, "x86/paging.c",
     "if (m->type != BOOT_MEM_FIRMWARE) {\n		map_range",
     "{\n		map_range", OWN),
    ("the start-up page stays", ANY, "x86/start.c",
     "	paging_trampoline(bi->trampoline, false);\n", "", OWN),
    ("no write protection", ANY, "x86/start.c",
     "		  CR0_WP | CR0_NE | CR0_MP);",
     "		  CR0_NE | CR0_MP);\n	write_cr0(read_cr0() & ~CR0_WP);",
     "a CPU's CR0"),
    ("devices' entries are not valid", QEMU, "iommu/amdvi.c",
     "__atomic_store_n(&e[0], DTE_V | DTE_TV | DTE_MODE |\n"
     "			 ptr_hpa(u->nothing).v",
     "__atomic_store_n(&e[0], ptr_hpa(u->nothing).v", DEVICE),
    ("who has nothing can interrupt", QEMU, "iommu/amdvi.c",
     "(u->interrupts ? DTE2_IV : 0)", "0", DEVICE),
    ("no nested paging", SVM, "svm/vcpu.c", "	.np_enable = 1,\n",
     "	.np_enable = 3,\n", "nested paging", True),
    ("no intercept of INVD", SVM, "svm/vcpu.c",
     "MISC1(CPUID) | MISC1(RSM) | MISC1(INVD) | MISC1(HLT) |",
     "MISC1(CPUID) | MISC1(RSM) | MISC1(HLT) |", "intercepts 1", True),
    ("no intercept of WBINVD", SVM, "svm/vcpu.c",
     "MISC2(SKINIT) | MISC2(WBINVD) |", "MISC2(SKINIT) |", "intercepts 2", True),
    ("no intercept of RDPRU", SVM, "svm/vcpu.c",
     "MISC2(MWAIT) | MISC2(XSETBV) | MISC2(RDPRU),",
     "MISC2(MWAIT) | MISC2(XSETBV),", "intercepts 2", True),
    ("CR4 is read as it is", SVM, "svm/vcpu.c",
     "CR_WRITE(0) | CR_WRITE(4) | CR_READ(4) |", "CR_WRITE(0) | CR_WRITE(4) |",
     "intercepts of control registers", True),
    ("no intercept of #AC", SVM, "svm/vcpu.c",
     "BIT32(X86_EXC_DB) | BIT32(X86_EXC_AC) |", "BIT32(X86_EXC_DB) |",
     "intercepts of exceptions", True),
    ("CR4 is the guest's", SVM, "svm/vcpu.c", "CR_WRITE(0) | CR_WRITE(4) |",
     "CR_WRITE(0) |", "intercepts of control registers", True),
    ("interrupts are the guest's", SVM, "svm/vcpu.c",
     "	.int_ctl = INT_CTL_V_INTR_MASKING,",
     "	.int_ctl = INT_CTL_V_INTR_MASKING | BIT32(25),", "interrupt control",
     True),
    ("no exit at HLT", VMX, "vmx/vmx.c", "PROC_HLT_EXIT | PROC_MWAIT_EXIT |",
     "PROC_MWAIT_EXIT |", "processor-based controls", True),
    ("no exit at WBINVD", VMX, "vmx/vmx.c",
     "PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED |\n		PROC2_WBINVD_EXIT,",
     "PROC2_EPT | PROC2_VPID | PROC2_UNRESTRICTED,", "secondary controls", True),
    ("the host's SYSENTER goes somewhere", VMX, "vmx/vcpu.c",
     "{ VMCS_HOST_SYSENTER_EIP, 0 }", "{ VMCS_HOST_SYSENTER_EIP, 0x1000 }",
     "host SYSENTER", True),
    ("no virtual NMIs", VMX, "vmx/vmx.c", "PIN_NMI_EXIT | PIN_VIRTUAL_NMIS |",
     "PIN_NMI_EXIT |", "pin-based controls", True),
    ("CR4.SMEP is the guest's", VMX, "vmx/vcpu.c",
     "{ VMCS_CR4_MASK,\n					       ~CR4_GUEST_OWNED }",
     "{ VMCS_CR4_MASK,\n					       ~(CR4_GUEST_OWNED | CR4_SMEP) }",
     "CR4 mask", True),
    ("the host's TSS is elsewhere", VMX, "vmx/vcpu.c",
     "vmwrite(VMCS_HOST_TR_BASE, (uintptr_t)&pc->tss);",
     "vmwrite(VMCS_HOST_TR_BASE, (uintptr_t)&pc->tss - 8);", "host TR", True),
    ("the host's memory is not cached", VMX, "vmx/vcpu.c",
     "vmwrite(VMCS_HOST_IA32_PAT, rdmsr(MSR_IA32_PAT));",
     "vmwrite(VMCS_HOST_IA32_PAT, PAT_RESET & ~7ull);", "host PAT", True),
    ("no exit at #AC", VMX, "vmx/vcpu.c",
     "BIT32(X86_EXC_DB) | BIT32(X86_EXC_AC) |", "BIT32(X86_EXC_DB) |",
     "exception bitmap", True),
)


def make(file, old, new, out, target="changed-hypervisor"):
    """A hypervisor with that change."""
    path = os.path.join(ROOT, "hypervisor", file)
    with open(path, encoding="utf-8") as f:
        text = f.read()
    if text.count(old) != 1:
        raise ValueError(f"{file}: not one place for '{old}'")
    by = out + os.path.splitext(file)[1]
    with open(by, "w", encoding="utf-8") as f:
        f.write(text.replace(old, new))
    subprocess.run(["make", "-s", target, f"CHANGED={file}", f"BY={by}",
                    f"AS={out}"], cwd=ROOT, check=True)
