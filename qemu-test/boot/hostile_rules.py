# SPDX-License-Identifier: MIT
"""What each row's attempts must have been answered: rules of one argument, the
list of (attempt, detail, result), that say what is wrong."""

import re

from runner import QEMU

# hypervisor/x86/msr.c and vlapic.c, and the backends' native ones.
MSRS_READ = {0x10, 0x17, 0x1b, 0x8b, *range(0x174, 0x177), 0x1a0, 0x277, 0x6e0,
             0x802, 0x803, 0x808, 0x80a, 0x80d, *range(0x80f, 0x829), 0x830,
             *range(0x832, 0x83a), 0x83e, *range(0xc0000080, 0xc0000085),
             *range(0xc0000100, 0xc0000104)}
ALL = (1 << 64) - 1
ADDRESS = (1 << 47) - 1         # bits that keep 0 an address of a half
# {MSR: (bits that are taken by themselves, 1: none of them, 2: all)}; of EFER,
# PAT and the APIC's base, bits that may be turned. Others: nothing.
MSRS_WRITTEN = {0x1b: (0x100, 0), 0x8b: (ALL, 3), 0x1a0: (ALL, 3),
                0x175: (ADDRESS, 3), 0x176: (ADDRESS, 3),
                0x277: (0x0503070305030703, 1), 0xc0000080: (0xc01, 0),
                0xc0000081: (ALL, 3), 0xc0000082: (ADDRESS, 3),
                0xc0000083: (ADDRESS, 3), 0xc0000084: (0xffffffff, 1),
                0xc0000102: (ADDRESS, 3), 0xc0000103: (0xffffffff, 1)}
# What goes straight to the processor, which QEMU's has no rules for.
TCG_ANY_ADDRESS = {0x175, 0x176, 0xc0000102}
XCR0 = {1, 3, 7, 0xe7}
CR0_NEVER = ALL & ~0x5ffffffe
CR4_NEVER = sum(1 << bit for bit in (5, 8, *range(11, 16), 19,
                                     *range(22, 64)))
FORBIDDEN = 30                  # instructions in guest/payload/modes.c
HAS_RETURN = ("vmcall", "vmmcall")      # one of them is the hypercall


def _value(result):
    return int(result[3:], 16) if result.startswith("ok 0x") else None


def _expect(said, wanted):
    """wanted: {attempt: the results it may have}; each must be there."""
    told = {name for name, _, _ in said}
    return [f"{name} was not tried" for name in wanted if name not in told] + \
        [f"{name} {detail or ''}: {result}" for name, detail, result in said
         if name in wanted and not re.fullmatch(wanted[name], result)]


def _runs(said, name):
    """The numbers of runs, told by first and count."""
    return {first + n for attempt, first, result in said if attempt == name
            and first is not None for n in range(_value(result))}


def msr_reads(said):
    found = _runs(said, "msr-answered")
    return [f"{n:#x} was answered" for n in sorted(found - MSRS_READ)] + \
        [f"{n:#x} was not" for n in sorted(MSRS_READ - found)] + \
        _expect(said, {"msr-answered-anywhere": "ok 0x0"})


def _msr_writes(platform):
    def rule(said):
        wrong = [] if len(said) > 70 else ["too few were tried"]
        for name, msr, result in said:
            want = MSRS_WRITTEN.get(msr, (0, 0))
            if platform in QEMU and msr in TCG_ANY_ADDRESS:
                want = (ALL, 3)
            if _value(result) != want[name == "msr-ends"]:
                wrong.append(f"{name} {msr:#x}: {result}")
        return wrong
    return rule


def xcr0(said):
    taken = _runs(said, "xcr0")
    wrong = [f"XCR0 {n:#x} was taken" for n in sorted(taken - XCR0)]
    wrong += [] if {1, 3} <= taken else ["XCR0 cannot be written"]
    wrong += [f"register {d:#x} was written" for name, d, _ in said
              if name == "xsetbv-register"]
    # the header's bytes 0 to 23: [SDM1 "Operation of XRSTOR"]
    wrong += [f"header byte {d - 512}: {result}" for name, d, result in said
              if name == "xrstor" and d < 536 and result != "#GP"]
    return wrong + _expect(said, {"xsetbv-off": "#UD", "xsetbv-high": "#GP",
                                  "xsetbv-user": "#GP"})


def cpuid(said):
    """Twice in a life: what was between has changed nothing."""
    sums = {}
    for name, detail, result in said:
        if name == "cpuid":
            sums.setdefault(detail, set()).add(result)
    return [f"leaves from {leaf:#x} on have changed" for leaf, told in
            sums.items() if len(told) != 1] + \
        _expect(said, {"cpuid-hidden": "ok 0x0", "cpuid": "ok .*"})


def controls(said):
    bits = {name: _value(result) for name, _, result in said}
    wrong = _expect(said, {"cr0-then": "ok 0x0", "cr8-bits": "ok 0xf",
                           "cr0-bits": "ok .*", "cr4-bits": "ok .*"})
    for name, never in (("cr0-bits", CR0_NEVER), ("cr4-bits", CR4_NEVER)):
        if bits.get(name, 0) & never:
            wrong.append(f"{name}: {bits[name] & never:#x} were taken")
    return wrong


def instructions(said):
    """#UD of nearly all, or #GP where the processor looks at CPL or operands
    first; one is the hypercall, of CPL 0 in 64-bit mode."""
    wrong, others, calls = [], 0, 0
    modes = ["kernel", "user", "compat", "protected", "real"]
    for name, _, result in said:
        if modes and name == modes[0]:
            if _value(result) + others != FORBIDDEN:
                wrong.append(f"{name}: {result}, {others} other answers")
            modes.pop(0)
            others = 0
            continue
        others += 1
        if result == "ok" and name in HAS_RETURN and len(modes) == 5:
            calls += 1
        elif result != "#GP" or len(modes) < 4:
            wrong.append(f"{name} in mode {modes[:1]}: {result}")
    if calls != 1 or modes:
        wrong.append(f"{calls} ways to call; not tried: {modes}")
    return wrong


def _steps(platform):
    # QEMU's TCG has no INT1
    icebp = "#UD" if platform in QEMU else "#DB"
    return lambda said: _expect(said, {
        **{name: "#DB" for name in (
            "ss-cpuid", "sti-cpuid", "sti-in", "step-cpuid", "step-in",
            "step-forwarded", "step-rdmsr", "step-wbinvd", "step-cr0")},
        "icebp": icebp, "ss-icebp": icebp, "ss-int3": "#DB|vector 0x3",
        "branch-step": "#GP"})


def ends(said):
    calls = [result for name, _, result in said if name in
             ("end-vmcall", "end-vmmcall")]
    wrong = [] if sorted(calls) == ["#GP", "#UD"] else [f"calls: {calls}"]
    return wrong + _expect(said, {name: "#GP" for name in (
        "end-cpuid", "end-in", "end-out", "end-rdtsc", "end-wbinvd",
        "end-rdmsr", "end-clts", "iret-hole", "sysret-hole")})


def segments(said):
    return _expect(said, {
        **{name: "ok" for name in ("null-ss", "null-all", "null-ldt", "no-gdt",
                                   "odd-flags")},
        **{name: "#GP" for name in ("busy-tss", "code-as-tss", "data-as-ldt",
                                    "user-ss", "nt-iret", "no-gate")}})


def debug_registers(said):
    return _expect(said, {"dr0": "ok 0x0", "dr2": "ok 0x0",
                          "dr7": "ok 0xb00043f", "detect": "#DB"})


def vectors(said):
    return _expect(said, {"vectors-first": "ok 0x0", "vectors-then": "ok 0x0"})


def calls(said):
    wrong = _expect(said, {"calls-other": "ok 0x0", "calls-taken": "ok .*"})
    taken = {name: _value(result) for name, _, result in said}
    # its doorbell, and its word of its channel's table
    if taken.get("calls-taken", 0) & ~(1 << 9 | 1 << 10):
        wrong.append(f"calls of the host's: {taken['calls-taken']:#x}")
    return wrong


def _values(**wanted):
    """Each of these attempts has that value; none else says 0xbad."""
    def rule(said):
        return _expect(said, {name.replace("_", "-"): f"ok 0x{value:x}"
                              for name, value in wanted.items()}) + \
            [f"{name} {detail}: {result}" for name, detail, result in said
             if result == "ok 0xbad"]
    return rule


def _nmis(platform):
    """On Bochs the second, which the first's handler sends, does not come."""
    least = 2 if platform in QEMU else 1
    return lambda said: _expect(said, {"nmis-own": f"ok 0x[{least}2]"})


def of(group, platform):
    """{row: its rule} of a group of guest/payload/hostile.c."""
    return {
        "cpu": {"HG01": msr_reads, "HG02": _msr_writes(platform), "HG03": xcr0,
                "HG04": controls, "HG05": cpuid, "HG06": instructions,
                "HG10": _steps(platform), "HG11": ends,
                "HG22": debug_registers, "HG23": vectors,
                "HG24": segments, "HC01": calls,
                "HG12": _values(starts=0), "HG13": _nmis(platform),
                "HG16": _values(commands_refused=0), "HG15": _values(ticks=1),
                "NKVC": _values(clock_pages=0)},
    }[group]
