# SPDX-License-Identifier: MIT
"""Names of bits and numbers that both vendors share, and how they are put
into words. [SDM3 "Control Registers", "Interrupt and Exception Handling"]"""

EXCEPTIONS = {
    0: "#DE divide error", 1: "#DB debug", 2: "NMI", 3: "#BP breakpoint",
    4: "#OF overflow", 5: "#BR bound range exceeded", 6: "#UD invalid opcode",
    7: "#NM device not available", 8: "#DF double fault",
    10: "#TS invalid TSS", 11: "#NP segment not present",
    12: "#SS stack-segment fault", 13: "#GP general protection",
    14: "#PF page fault", 16: "#MF x87 floating-point error",
    17: "#AC alignment check", 18: "#MC machine check",
    19: "#XM SIMD floating-point exception", 20: "#VE virtualization exception",
    21: "#CP control protection",
}

CR0 = {0: "PE", 1: "MP", 2: "EM", 3: "TS", 4: "ET", 5: "NE", 16: "WP",
       18: "AM", 29: "NW", 30: "CD", 31: "PG"}
CR4 = {0: "VME", 1: "PVI", 2: "TSD", 3: "DE", 4: "PSE", 5: "PAE", 6: "MCE",
       7: "PGE", 8: "PCE", 9: "OSFXSR", 10: "OSXMMEXCPT", 11: "UMIP",
       12: "LA57", 13: "VMXE", 14: "SMXE", 16: "FSGSBASE", 17: "PCIDE",
       18: "OSXSAVE", 20: "SMEP", 21: "SMAP", 22: "PKE", 23: "CET",
       24: "PKS"}
EFER = {0: "SCE", 8: "LME", 10: "LMA", 11: "NXE", 12: "SVME", 13: "LMSLE",
        14: "FFXSR", 15: "TCE"}
RFLAGS = {0: "CF", 1: "1", 2: "PF", 4: "AF", 6: "ZF", 7: "SF", 8: "TF", 9: "IF",
          10: "DF", 11: "OF", 14: "NT", 16: "RF", 17: "VM", 18: "AC",
          19: "VIF", 20: "VIP", 21: "ID"}
DR6 = {0: "B0", 1: "B1", 2: "B2", 3: "B3", 13: "BD", 14: "BS", 15: "BT"}
PAGE_FAULT = {0: "P", 1: "W/R", 2: "U/S", 3: "RSVD", 4: "I/D", 5: "PK",
              6: "SS", 15: "SGX"}

EVENT_TYPES = {0: "external interrupt", 2: "NMI", 3: "hardware exception",
               4: "software interrupt", 5: "privileged software exception",
               6: "software exception", 7: "other event"}

MSRS = {
    0x10: "IA32_TIME_STAMP_COUNTER", 0x17: "IA32_PLATFORM_ID",
    0x1b: "IA32_APIC_BASE", 0x3a: "IA32_FEATURE_CONTROL",
    0x8b: "IA32_BIOS_SIGN_ID", 0xfe: "IA32_MTRRCAP",
    0x174: "IA32_SYSENTER_CS", 0x175: "IA32_SYSENTER_ESP",
    0x176: "IA32_SYSENTER_EIP", 0x1a0: "IA32_MISC_ENABLE",
    0x1d9: "IA32_DEBUGCTL", 0x277: "IA32_PAT", 0x2ff: "IA32_MTRR_DEF_TYPE",
    0x480: "IA32_VMX_BASIC", 0x6e0: "IA32_TSC_DEADLINE",
    0x802: "IA32_X2APIC_APICID", 0x808: "IA32_X2APIC_TPR",
    0x80b: "IA32_X2APIC_EOI", 0x80f: "IA32_X2APIC_SIVR",
    0x828: "IA32_X2APIC_ESR", 0x830: "IA32_X2APIC_ICR",
    0x832: "IA32_X2APIC_LVT_TIMER", 0x838: "IA32_X2APIC_INIT_COUNT",
    0x839: "IA32_X2APIC_CUR_COUNT", 0x83e: "IA32_X2APIC_DIV_CONF",
    0x83f: "IA32_X2APIC_SELF_IPI", 0xc0000080: "IA32_EFER",
    0xc0000081: "IA32_STAR", 0xc0000082: "IA32_LSTAR",
    0xc0000083: "IA32_CSTAR", 0xc0000084: "IA32_FMASK",
    0xc0000100: "IA32_FS_BASE", 0xc0000101: "IA32_GS_BASE",
    0xc0000102: "IA32_KERNEL_GS_BASE", 0xc0000103: "IA32_TSC_AUX",
    0xc0010114: "VM_CR", 0xc0010117: "VM_HSAVE_PA",
    0x4b564d00: "MSR_KVM_WALL_CLOCK_NEW",
    0x4b564d01: "MSR_KVM_SYSTEM_TIME_NEW",
}

SYSTEM_TYPES = {2: "LDT", 9: "available TSS", 11: "busy TSS",
                12: "call gate", 14: "interrupt gate", 15: "trap gate"}


def bits(value, names):
    """The set bits by name; those without a name by number."""
    found = [names.get(i, f"bit {i}") for i in range(value.bit_length())
             if value >> i & 1]
    return " ".join(found) if found else "nothing set"


def exception(vector):
    return EXCEPTIONS.get(vector, f"vector {vector}")


def page_fault(error):
    """[SDM3 "Page-Fault Error Code"]"""
    what = "instruction fetch" if error & 16 else \
        "write" if error & 2 else "read"
    why = "protection violation" if error & 1 else "page not present"
    return f"{what} at CPL {'3' if error & 4 else '0-2'}: {why}" + \
        (", reserved bit set in a paging structure" if error & 8 else "")


def event(value, unblocked=False):
    """VT-x interruption information and AMD-V EVENTINJ/EXITINTINFO, which
    have the same layout. [SDM3 "Information for VM Exits Due to Vectored
    Events", APM2 "EVENTINJ Field in the VMCB"]"""
    if not value >> 31 & 1:
        return "not valid"
    vector, kind = value & 0xff, value >> 8 & 7
    name = exception(vector) if kind in (3, 5, 6) else f"vector {vector:#x}"
    return f"{EVENT_TYPES.get(kind, f'type {kind}')}, {name}" + \
        (", error code valid" if value >> 11 & 1 else "") + \
        (", NMI unblocking due to IRET" if unblocked and value >> 12 & 1
         else "")


def access_rights(value):
    """A segment's access rights, laid out as in VMCS fields.
    [SDM3 "Guest Register State"]"""
    if value >> 16 & 1:
        return "unusable"
    kind = value & 15
    if not value >> 4 & 1:
        name = SYSTEM_TYPES.get(kind, f"system type {kind}")
    elif kind & 8:
        name = "code" + (" readable" if kind & 2 else "") + \
            (" conforming" if kind & 4 else "")
    else:
        name = "data" + (" writable" if kind & 2 else "") + \
            (" expand-down" if kind & 4 else "")
    flags = [name, f"DPL {value >> 5 & 3}",
             "present" if value >> 7 & 1 else "NOT present"]
    flags += [word for bit, word in ((13, "L (64-bit)"), (14, "D/B"),
                                     (15, "G")) if value >> bit & 1]
    if value >> 4 & 1 and not kind & 1:
        flags.append("not accessed")
    return ", ".join(flags)


def place(gpa):
    """What a guest-physical address of the Linux partition is."""
    if 0xfee00000 <= gpa < 0xfee01000:
        return f"local APIC page, register {gpa & 0xff0:#x}"
    if 0xfec00000 <= gpa < 0xfec01000:
        return "I/O APIC page (no partition has one)"
    if 0xe0000000 <= gpa < 0xe0008000:
        return f"MSI-X page of channel {(gpa - 0xe0000000) >> 12}"
    if 0xe4000000 <= gpa < 0xe4000000 + (8 << 26):
        number, offset = divmod(gpa - 0xe4000000, 1 << 26)
        return f"channel {number}'s region, offset {offset:#x}" + \
            (" (state table)" if offset < 4096 else "")
    return "RAM of a partition as large, else nothing"
