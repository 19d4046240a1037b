# SPDX-License-Identifier: MIT
"""Changes of the hypervisor by which a register of one partition becomes
another's, or is lost: the canary of the hostile tests must see each
(hostile-mutants)."""

from isolation import ANY, SVM, VMX

# What is broken; with which vendor's processors; the file; what stands there
# once, and instead.
MUTANTS = (
    ("XCR0 is the hypervisor's", ANY, "core/vcpu.c",
     "		xsetbv(0, v->xcr0);\n", ""),
    ("vector registers are not kept", ANY, "core/vcpu.c",
     "	xsave(v->fpu, xstate_mask);\n", ""),
    ("vector registers are another's", ANY, "core/vcpu.c",
     "	xrstor(v->fpu, xstate_mask);\n", ""),
    ("DR1 is not kept", ANY, "core/vcpu.c", "	v->dr[1] = read_dr1();\n", ""),
    ("DR3 is another's", ANY, "core/vcpu.c", "	write_dr3(v->dr[3]);\n", ""),
    # AMD-V has these in the VMCB
    ("DR6 is not kept", VMX, "core/vcpu.c", "	v->dr6 = read_dr6();\n", ""),
    ("CR2 is not kept", VMX, "core/vcpu.c", "	v->cr2 = read_cr2();\n", ""),
    ("TSC_AUX is another's", ANY, "core/vcpu.c",
     "		wrmsr(MSR_IA32_TSC_AUX, v->tsc_aux);\n", ""),
    ("KERNEL_GS_BASE is not kept", VMX, "vmx/vmx.c",
     "		from->g.kernel_gs_base = rdmsr(MSR_IA32_KERNEL_GS_BASE);\n", ""),
    ("SYSCALL's MSRs are another's", VMX, "vmx/vmx.c",
     "	if (to->g.syscalls && cpu_syscalls_of[this_cpu()->index] != to) {",
     "	if (false) {"),
    ("SYSCALL's MSRs and bases are not kept", SVM, "svm/entry.S",
     "	vmsave	%rax\n", ""),
    ("a bit of R11 changes", ANY, "core/vcpu.c", "	write_cr2(v->cr2);\n",
     "	write_cr2(v->cr2);\n	v->regs.r11 ^= v->partition->id >> 1;\n"),
)
