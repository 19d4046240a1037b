# SPDX-License-Identifier: MIT
"""VT-x in the SDM's words: exit reasons, qualifications, controls.
[SDM3 "VMX Basic Exit Reasons", "Exit Qualification"]"""

from isthmus_lib import decode_x86 as x86

REASONS = {
    0: "exception or NMI", 1: "external interrupt", 2: "triple fault",
    3: "INIT signal", 4: "start-up IPI (SIPI)", 5: "I/O SMI",
    6: "other SMI", 7: "interrupt window", 8: "NMI window",
    9: "task switch", 10: "CPUID", 11: "GETSEC", 12: "HLT", 13: "INVD",
    14: "INVLPG", 15: "RDPMC", 16: "RDTSC", 17: "RSM", 18: "VMCALL",
    19: "VMCLEAR", 20: "VMLAUNCH", 21: "VMPTRLD", 22: "VMPTRST",
    23: "VMREAD", 24: "VMRESUME", 25: "VMWRITE", 26: "VMXOFF", 27: "VMXON",
    28: "control-register access", 29: "MOV DR", 30: "I/O instruction",
    31: "RDMSR", 32: "WRMSR", 33: "VM-entry failure due to invalid guest "
    "state", 34: "VM-entry failure due to MSR loading", 36: "MWAIT",
    37: "monitor trap flag", 39: "MONITOR", 40: "PAUSE",
    41: "VM-entry failure due to machine-check event",
    43: "TPR below threshold", 44: "APIC access", 45: "virtualized EOI",
    46: "access to GDTR or IDTR", 47: "access to LDTR or TR",
    48: "EPT violation", 49: "EPT misconfiguration", 50: "INVEPT",
    51: "RDTSCP", 52: "VMX-preemption timer expired", 53: "INVVPID",
    54: "WBINVD or WBNOINVD", 55: "XSETBV", 56: "APIC write", 57: "RDRAND",
    58: "INVPCID", 59: "VMFUNC", 60: "ENCLS", 61: "RDSEED",
    62: "page-modification log full", 63: "XSAVES", 64: "XRSTORS",
}

INSTRUCTION_ERRORS = {
    0: "none", 1: "VMCALL executed in VMX root operation",
    2: "VMCLEAR with invalid physical address",
    3: "VMCLEAR with VMXON pointer", 4: "VMLAUNCH with non-clear VMCS",
    5: "VMRESUME with non-launched VMCS", 6: "VMRESUME after VMXOFF",
    7: "VM entry with invalid control field(s)",
    8: "VM entry with invalid host-state field(s)",
    9: "VMPTRLD with invalid physical address",
    10: "VMPTRLD with VMXON pointer",
    11: "VMPTRLD with incorrect VMCS revision identifier",
    12: "VMREAD/VMWRITE from/to unsupported VMCS component",
    13: "VMWRITE to read-only VMCS component",
    15: "VMXON executed in VMX root operation",
    16: "VM entry with invalid executive-VMCS pointer",
    17: "VM entry with non-launched executive VMCS",
    19: "VMCALL with non-clear VMCS",
    20: "VMCALL with invalid VM-exit control fields",
    26: "VM entry with events blocked by MOV SS",
    28: "invalid operand to INVEPT/INVVPID",
}

PIN = {0: "external-interrupt exiting", 3: "NMI exiting", 5: "virtual NMIs",
       6: "activate VMX-preemption timer", 7: "process posted interrupts"}
PIN_DEFAULT1 = 0x16
PROC = {2: "interrupt-window exiting", 3: "use TSC offsetting",
        7: "HLT exiting", 9: "INVLPG exiting", 10: "MWAIT exiting",
        11: "RDPMC exiting", 12: "RDTSC exiting", 15: "CR3-load exiting",
        16: "CR3-store exiting", 17: "activate tertiary controls",
        19: "CR8-load exiting", 20: "CR8-store exiting",
        21: "use TPR shadow", 22: "NMI-window exiting", 23: "MOV-DR exiting",
        24: "unconditional I/O exiting", 25: "use I/O bitmaps",
        27: "monitor trap flag", 28: "use MSR bitmaps",
        29: "MONITOR exiting", 30: "PAUSE exiting",
        31: "activate secondary controls"}
PROC_DEFAULT1 = 0x04006172
PROC2 = {0: "virtualize APIC accesses", 1: "enable EPT",
         2: "descriptor-table exiting", 3: "enable RDTSCP",
         4: "virtualize x2APIC mode", 5: "enable VPID", 6: "WBINVD exiting",
         7: "unrestricted guest", 8: "APIC-register virtualization",
         9: "virtual-interrupt delivery", 10: "PAUSE-loop exiting",
         11: "RDRAND exiting", 12: "enable INVPCID",
         13: "enable VM functions", 14: "VMCS shadowing",
         15: "enable ENCLS exiting", 16: "RDSEED exiting", 17: "enable PML",
         18: "EPT-violation #VE", 19: "conceal VMX from PT",
         20: "enable XSAVES/XRSTORS", 22: "mode-based execute control for "
         "EPT", 25: "use TSC scaling", 26: "enable user wait and pause"}
EXIT = {2: "save debug controls", 9: "host address-space size",
        12: "load IA32_PERF_GLOBAL_CTRL", 15: "acknowledge interrupt on "
        "exit", 18: "save IA32_PAT", 19: "load IA32_PAT",
        20: "save IA32_EFER", 21: "load IA32_EFER",
        22: "save VMX-preemption timer value", 23: "clear IA32_BNDCFGS"}
EXIT_DEFAULT1 = 0x00036dfb
ENTRY = {2: "load debug controls", 9: "IA-32e mode guest",
         10: "entry to SMM", 11: "deactivate dual-monitor treatment",
         13: "load IA32_PERF_GLOBAL_CTRL", 14: "load IA32_PAT",
         15: "load IA32_EFER", 16: "load IA32_BNDCFGS"}
ENTRY_DEFAULT1 = 0x000011fb
BLOCKING = {0: "blocking by STI", 1: "blocking by MOV SS",
            2: "blocking by SMI", 3: "blocking by NMI",
            4: "enclave interruption"}
ACTIVITY = {0: "active", 1: "HLT", 2: "shutdown", 3: "wait-for-SIPI"}
PENDING = {0: "B0", 1: "B1", 2: "B2", 3: "B3", 12: "enabled breakpoint",
           14: "BS", 16: "RTM"}
GPRS = ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9",
        "R10", "R11", "R12", "R13", "R14", "R15")


def reason(value):
    text = REASONS.get(value & 0xffff, f"reason {value & 0xffff} (unknown)")
    return text + (", VM-entry failure" if value >> 31 & 1 else "")


def _qualify_io(q):
    """[SDM3 "Exit Qualification for I/O Instructions"]"""
    return f"{'IN' if q & 8 else 'OUT'} of {(q & 7) + 1} byte(s), port " \
        f"{q >> 16 & 0xffff:#x}" + (", string instruction" if q & 16 else "") \
        + (", REP prefixed" if q & 32 else "") \
        + (", immediate operand" if q & 64 else ", port in DX")


def _qualify_cr(q):
    """[SDM3 "Exit Qualification for Control-Register Accesses"]"""
    kind, register = q >> 4 & 3, GPRS[q >> 8 & 15]
    if kind == 0:
        return f"MOV to CR{q & 15} from {register}"
    if kind == 1:
        return f"MOV from CR{q & 15} to {register}"
    if kind == 2:
        return "CLTS"
    return f"LMSW, source {q >> 16 & 0xffff:#x}, " \
        f"{'memory' if q & 64 else 'register'} operand"


def _qualify_ept(q):
    """[SDM3 "Exit Qualification for EPT Violations"]"""
    access = [w for b, w in ((1, "read"), (2, "write"), (4, "fetch"))
              if q & b]
    allowed = "".join(w if q >> b & 1 else "-"
                      for b, w in ((3, "r"), (4, "w"), (5, "x")))
    text = f"data {' and '.join(access) or 'access'}; EPT allows {allowed}" \
        + (" (not present)" if not q >> 3 & 7 else "")
    if q >> 7 & 1:
        text += ", of the linear address's own translation" if q >> 8 & 1 \
            else ", of a paging structure during the walk"
    else:
        text += ", guest linear address not valid"
    return text + (", NMI unblocking due to IRET" if q >> 12 & 1 else "")


def _qualify_debug(q):
    return x86.bits(q & 0x1600f, {**x86.DR6, 12: "enabled breakpoint"})


def _qualify_task(q):
    source = ("CALL", "IRET", "JMP", "task gate in IDT")[q >> 30 & 3]
    return f"to TSS selector {q & 0xffff:#x} by {source}"


def _qualify_entry(q):
    return {0: "no detail", 2: "PDPTE loading", 3: "NMI injection with "
            "blocking by STI", 4: "VMCS link pointer"}.get(
                q, f"MSR entry {q}")


QUALIFICATIONS = {0: _qualify_debug, 9: _qualify_task, 28: _qualify_cr,
                  30: _qualify_io, 33: _qualify_entry, 34: _qualify_entry,
                  48: _qualify_ept}


def qualification(value, exit_reason):
    """Needs the exit reason; None: nothing to say."""
    known = QUALIFICATIONS.get((exit_reason or 0) & 0xffff)
    return known(value) if known and exit_reason is not None else None


def _list(value, names, default1=0):
    left = value & ~default1
    found = [names.get(i, f"bit {i}") for i in range(left.bit_length())
             if left >> i & 1]
    return "; ".join(found) or "nothing beyond the reserved bits"


FIELDS = {
    "EXIT_REASON": reason,
    "INSN_ERROR": lambda v: INSTRUCTION_ERRORS.get(v, "unknown error"),
    "EXIT_INTR_INFO": lambda v: x86.event(v, True),
    "IDT_VECTORING_INFO": x86.event,
    "ENTRY_INTR_INFO": x86.event,
    "PIN_BASED_CTLS": lambda v: _list(v, PIN, PIN_DEFAULT1),
    "PROC_BASED_CTLS": lambda v: _list(v, PROC, PROC_DEFAULT1),
    "PROC_BASED_CTLS2": lambda v: _list(v, PROC2),
    "EXIT_CTLS": lambda v: _list(v, EXIT, EXIT_DEFAULT1),
    "ENTRY_CTLS": lambda v: _list(v, ENTRY, ENTRY_DEFAULT1),
    "GUEST_INTERRUPTIBILITY": lambda v: _list(v, BLOCKING) if v else "none",
    "GUEST_ACTIVITY": lambda v: ACTIVITY.get(v, "unknown state"),
    "GUEST_PENDING_DEBUG": lambda v: x86.bits(v, PENDING) if v else "none",
    "GUEST_CS_AR": x86.access_rights,
    "GUEST_SS_AR": x86.access_rights,
    "GUEST_TR_AR": x86.access_rights,
    "GUEST_LDTR_AR": x86.access_rights,
    "GUEST_PHYSICAL_ADDRESS": x86.place,
}
