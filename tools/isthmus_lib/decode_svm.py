# SPDX-License-Identifier: MIT
"""AMD-V in the APM's words: exit codes, EXITINFO1 and 2, VMCB fields.
[APM2 "SVM Intercept Exit Codes", "VMCB Layout, Control Area"]"""

from isthmus_lib import decode_x86 as x86

CODES = {
    0x60: "VMEXIT_INTR (physical interrupt)", 0x61: "VMEXIT_NMI",
    0x62: "VMEXIT_SMI", 0x63: "VMEXIT_INIT",
    0x64: "VMEXIT_VINTR (virtual interrupt: the interrupt window)",
    0x65: "VMEXIT_CR0_SEL_WRITE", 0x66: "VMEXIT_IDTR_READ",
    0x67: "VMEXIT_GDTR_READ", 0x68: "VMEXIT_LDTR_READ",
    0x69: "VMEXIT_TR_READ", 0x6a: "VMEXIT_IDTR_WRITE",
    0x6b: "VMEXIT_GDTR_WRITE", 0x6c: "VMEXIT_LDTR_WRITE",
    0x6d: "VMEXIT_TR_WRITE", 0x6e: "VMEXIT_RDTSC", 0x6f: "VMEXIT_RDPMC",
    0x70: "VMEXIT_PUSHF", 0x71: "VMEXIT_POPF", 0x72: "VMEXIT_CPUID",
    0x73: "VMEXIT_RSM", 0x74: "VMEXIT_IRET", 0x75: "VMEXIT_SWINT",
    0x76: "VMEXIT_INVD", 0x77: "VMEXIT_PAUSE", 0x78: "VMEXIT_HLT",
    0x79: "VMEXIT_INVLPG", 0x7a: "VMEXIT_INVLPGA", 0x7b: "VMEXIT_IOIO",
    0x7c: "VMEXIT_MSR", 0x7d: "VMEXIT_TASK_SWITCH",
    0x7e: "VMEXIT_FERR_FREEZE", 0x7f: "VMEXIT_SHUTDOWN",
    0x80: "VMEXIT_VMRUN", 0x81: "VMEXIT_VMMCALL", 0x82: "VMEXIT_VMLOAD",
    0x83: "VMEXIT_VMSAVE", 0x84: "VMEXIT_STGI", 0x85: "VMEXIT_CLGI",
    0x86: "VMEXIT_SKINIT", 0x87: "VMEXIT_RDTSCP", 0x88: "VMEXIT_ICEBP",
    0x89: "VMEXIT_WBINVD", 0x8a: "VMEXIT_MONITOR", 0x8b: "VMEXIT_MWAIT",
    0x8c: "VMEXIT_MWAIT_CONDITIONAL", 0x8d: "VMEXIT_XSETBV",
    0x8e: "VMEXIT_RDPRU", 0x8f: "VMEXIT_EFER_WRITE_TRAP",
    0x400: "VMEXIT_NPF (nested page fault)",
    0x401: "AVIC_INCOMPLETE_IPI", 0x402: "AVIC_NOACCEL",
    0x403: "VMEXIT_VMGEXIT",
}
INVALID = 0xffffffff            # some processors store only this half
TLB_CONTROL = {0: "do nothing", 1: "flush the entire TLB",
               3: "flush this guest's TLB entries",
               7: "flush this guest's non-global TLB entries"}


def code(value):
    if value & 0xffffffff == INVALID:
        return "VMEXIT_INVALID (VMRUN refused the guest state)"
    if value < 0x20:
        return f"VMEXIT_CR{value & 15}_{'WRITE' if value & 16 else 'READ'}"
    if value < 0x40:
        return f"VMEXIT_DR{value & 15}_{'WRITE' if value & 16 else 'READ'}"
    if value < 0x60:
        return f"VMEXIT_EXCP{value - 0x40}, {x86.exception(value - 0x40)}"
    return CODES.get(value, "unknown exit code")


def _npf(info):
    """[APM2 "Nested versus Guest Page Faults, Fault Ordering"]"""
    what = "fetch" if info & 16 else "write" if info & 2 else "read"
    text = f"{what}, " + ("nested page present: protection" if info & 1
                          else "nested page not present")
    if info & 8:
        text += ", reserved bit set in a nested entry"
    if info >> 32 & 1:
        text += ", at the final address"
    if info >> 33 & 1:
        text += ", while walking the guest's page tables"
    return text


def _ioio(info):
    """[APM2 "IOIO Intercept Information"]"""
    size = {1: 1, 2: 2, 4: 4}.get(info >> 4 & 7, "?")
    return f"{'IN' if info & 1 else 'OUT'} of {size} byte(s), port " \
        f"{info >> 16 & 0xffff:#x}" + (", string" if info & 4 else "") \
        + (", REP" if info & 8 else "")


def info1(value, exit_code):
    """EXITINFO1 of an exit with this code; None: it has no meaning."""
    if exit_code == 0x400:
        return _npf(value)
    if exit_code == 0x7b:
        return _ioio(value)
    if exit_code == 0x7c:
        return "WRMSR" if value & 1 else "RDMSR"
    if exit_code == 0x4e:
        return x86.page_fault(value)
    if exit_code is not None and exit_code < 0x20 and value >> 63:
        return f"MOV, general register {value & 15}"
    return None


def info2(value, exit_code):
    if exit_code == 0x400:
        return f"guest-physical address: {x86.place(value)}"
    if exit_code == 0x7b:
        return "RIP of the next instruction"
    if exit_code == 0x4e:
        return "faulting linear address"
    return None


def attributes(value):
    """VMCB segment attributes: the descriptor's two nibbles joined."""
    return x86.access_rights((value & 0xff) | (value & 0xf00) << 4)


def int_ctl(value):
    flags = [f"V_TPR {value & 0xff}"] if value & 0xff else []
    flags += [word for bit, word in (
        (8, "V_IRQ pending"), (9, "VGIF"), (20, "V_IGN_TPR"),
        (24, "V_INTR_MASKING"), (25, "AMD Virtual GIF enabled"),
        (31, "AVIC enabled")) if value >> bit & 1]
    if value >> 8 & 1:
        flags.append(f"V_INTR_PRIO {value >> 16 & 15}")
    return ", ".join(flags) or "nothing set"


FIELDS = {
    "EXITCODE": code,
    "EXITINTINFO": x86.event,
    "EVENTINJ": x86.event,
    "INT_CTL": int_ctl,
    "INT_STATE": lambda v: "interrupt shadow" if v & 1 else "no shadow",
    "TLB_CONTROL": lambda v: TLB_CONTROL.get(v, "reserved"),
    "ATTRIB": attributes,
}
