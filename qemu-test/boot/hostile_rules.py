# SPDX-License-Identifier: MIT
"""What each row's attempts must have been answered: rules of one argument, the
list of (attempt, detail, result), that say what is wrong."""

import re

from runner import QEMU

# hypervisor/x86/msr.c and vlapic.c, and the backends' native ones.
MSRS_READ = {0x10, 0x17, 0x1b, 0x8b, *range(0x174, 0x177), 0x1a0, 0x277, 0x6e0,
             0x802, 0x803, 0x808, 0x80a, 0x80d, *range(0x80f, 0x829), 0x830,
             *range(0x832, 0x83a), 0x83e, *range(0xc0000080, 0xc0000085),
             *range(0xc0000100, 0xc0000104), *range(0xc0010000, 0xc0010008)}
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
TIMES = 20000                   # guest/payload/storm.c
CR0_NEVER = ALL & ~0x5ffffffe
CR4_NEVER = sum(1 << bit for bit in (5, 8, *range(12, 16), 19,
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


def _steps_storm(platform, times):
    icebps = 0 if platform in QEMU else times
    return lambda said: _expect(said, {"steps": f"ok {times:#x}",
                                       "icebps": f"ok {icebps:#x}"})


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


def _debug_registers(platform):
    on, detect = ("0x0", "ok") if platform in QEMU else ("0x3f", "#DB")
    return lambda said: _expect(said, {
        "dr0": "ok 0x0", "dr2": "ok 0x0", "dr7": "ok 0xb000400",
        "breakpoints": f"ok {on}", "detect": detect})


def vectors(said):
    return _expect(said, {"vectors-first": "ok 0x0", "vectors-then": "ok 0x0",
                          "registers-then": "ok 0x0"})


def calls(said):
    wrong = _expect(said, {"calls-other": "ok 0x0", "calls-taken": "ok .*"})
    taken = {name: _value(result) for name, _, result in said}
    # its doorbell, and its word of its channel's table
    if taken.get("calls-taken", 0) & ~(1 << 9 | 1 << 10):
        wrong.append(f"calls of the host's: {taken['calls-taken']:#x}")
    return wrong


def ports(said):
    found = [f"{name} {detail:#x}: {result}" for name, detail, result in said
             if name == "port-answered"]
    return found + _expect(said, {"ins-byte": "#GP", "ins-end": "#GP",
                                  "outs-across": "#GP"})


def _values(**wanted):
    """Each of these attempts has that value; none else says 0xbad."""
    def rule(said):
        return _expect(said, {name.replace("_", "-"): f"ok 0x{value:x}"
                              for name, value in wanted.items()}) + \
            [f"{name} {detail}: {result}" for name, detail, result in said
             if result == "ok 0xbad"]
    return rule


# "..", "." of the root: itself, which "above" looks at 64 times.
UP = {("lookup", 0), ("lookup", 1)}


def _refused(*names):
    """Attempts on files: an error, or the connection ends; nothing is done, and
    the service is there again."""
    def rule(said):
        tried = {name for name, _, _ in said}
        return [f"{name} was not tried" for name in names
                if name not in tried] + \
            [f"{name} {detail}: {result}" for name, detail, result in said
             if result in ("ok 0x0", "ok 0xbad") and
             (name, detail) not in UP or name == "above"]
    return rule


LONG = ("HG01", "HG04", "HG07", "HG09", "HG15", "HG25", "HG26", "HC01", "RG05",
        "RG08")
RECONNECTS = 100
LINKS, SWAPS = 11, 200          # guest/payload/links.c
SERVICE = _values(service_up=1, service_files=50, service_sockets=100)


def nothing(said):
    """Rows of which the oracle alone judges."""
    return [f"{said}"] if said else []


def host(said):
    """A hostile host partition: qemu-test/hostile/host.c."""
    return _expect(said, {"calls-taken": "ok 0x0"})


def without_memory(said):
    """Each call had to do without a page at least once."""
    return _expect(said, {
        "split-wrong": "ok 0x0", "failures-wrong": "ok 0x0",
        **{f"{name}-failed": "ok 0x[1-9a-f][0-9a-f]*"
           for name in ("donate", "start")}})


def replaced(said):
    """Either of the two that were there, or an exception of the page's."""
    wrong = _expect(said, {"replaced-other": "ok 0x0",
                           "replacements": "ok .*"})
    ends = sum(_value(result) or 0 for name, _, result in said
               if name in ("replaced-first", "replaced-third"))
    return wrong + ([] if ends else ["no instruction was carried out"])


def flipped(said):
    """The host has met changed packets: some end the channel, which is made
    anew, others are refused."""
    return _expect(said, {
        "link": "ok 0x1", "flips-sent": "ok 0x[1-9a-f][0-9a-f]{2}",
        "flips-resets": "ok 0x[1-9a-f][0-9a-f]*",
        "flips-refused": "ok 0x[1-9a-f][0-9a-f]*", "flips-then": "ok 0x1"})


def of(group, platform, by=1):
    """{row: its rule} of a group of guest/payload/hostile.c; by: its factor."""
    groups = {
        "cpu": {"HG01": msr_reads, "HG02": _msr_writes(platform), "HG03": xcr0,
                "HG04": controls, "HG05": cpuid, "HG06": instructions,
                "HG10": _steps(platform), "HG11": ends,
                "HG22": _debug_registers(platform),
                "HG23": vectors, "HG24": segments, "HC01": calls,
                "HG12": _values(starts=0), "HG13": _values(nmis_both=200),
                "HG16": _values(commands_refused=0), "HG15": _values(ticks=1),
                "NKVC": _values(clock_pages=0)},
        "storm": {"HG07": nothing, "HG14": nothing, "HG26": nothing,
                  "HG09": _steps_storm(platform, TIMES * by),
                  "HG17": ports, "HC04": lambda said: _expect(
                      said, {"release-most": "ok 0x0",
                             "release-left": "ok 0x0"}),
                  "HG25": lambda said: _expect(said, {"errors": "ok 0x0"})},
        "channel": {
            "RG01": _values(link=1), "RG02": _values(), "RG05": _values(),
            "RG07": _values(unread=1), "RG08": _values(up=RECONNECTS * by),
            "RG09": _values(leftovers=0),
            "RG10": _values(), "NP01": _refused("lookup", "mkdir"),
            "NP02": _values(links_kept=LINKS, links_swapped=SWAPS // 2,
                            links_too_long=0, links_followed=0,
                            links_beacon=0),
            "NP08": _values(attribute=0, attributes_odd=0, attribute_short=34,
                            attribute_open=0, attribute_size=100,
                            attribute_grown=34, attribute_then=1,
                            attributes_list_short=34, attributes_full=1,
                            attributes_gone=0),
            "NP03": _refused("into-itself", "over-root", "over-dot",
                             "into-nothing", "link-dir"),
            "NP05": _values(lookups=3000, nodes_of_nobody=0, after_init=0,
                            after_twice=0),
            "NP06": _values(ended=1, sizes=0), "NP10": _values(depth=120),
            "NBLK": _values(disks_given=0, disks_any_port=0,
                            files_any_port=0, net_any_port=0, echo=1),
            "NPCI": _values(pci_then=1, bar=0),
            "HG27": SERVICE},
        "two": {"HG21": replaced, "RG03": flipped},
        "host": {"HC02": host, "HC03": without_memory,
                 "HG27": lambda said: SERVICE(said[-3:])},
        "lives": {row: lambda said: [] for row in
                  ("HG08", "HG09", "HG12", "HG18", "HG19", "HG20", "HG24")}
        | {"HG27": lambda said: SERVICE(said[-3:])},
    }
    every = {**groups["channel"], **groups["storm"], **groups["cpu"]}
    groups["long"] = {row: every[row] for row in LONG}
    return groups[group]


# What an emulator has not: (group, platforms, row, what, why).
LEFT_OUT = (
    ("cpu", QEMU, "HG02", "addresses that are none in SYSENTER's and "
     "KERNEL_GS_BASE", "QEMU's processor takes any"),
    ("cpu", QEMU, "HG10", "ICEBP in a shadow", "QEMU's has none: #UD"),
    ("cpu", QEMU, "HG22", "breakpoints that are on through exits", "QEMU's "
     "AMD-V before 9.1 leaves them on for the hypervisor and for others"),
    ("cpu", QEMU, "HG22", "general detect", "QEMU's has none"),
    ("two", QEMU, "HG21 and RG03", "O1 and O6, time and lengths of exits",
     "its firmware does not come up on two CPUs that count instructions"),
    ("long", QEMU, "HG09", "ICEBP again and again", "QEMU's has none: #UD"),
    ("storm", QEMU, "HG09", "20,000 ICEBP", "QEMU's has none: #UD"),
    ("lives", QEMU, "HG09", "#DB upon #DB by a breakpoint", "as HG22's"),
    ("lives", QEMU, "HG09", "#AC upon #AC", "QEMU's processor has no #AC"),
)


def left_out(group, platform):
    return [f"{row} {what}: {why}" for named, platforms, row, what, why
            in LEFT_OUT if named == group and platform in platforms]


FOREIGN = "dies: access to memory it does not have "


def lives(platform):
    """[(test, its outcome)]: guest/payload/lives.c and legacy.S."""
    bochs = platform not in QEMU
    # AMD-V carries a task switch out by itself
    task = "dies: an exit the hypervisor does not know" if bochs \
        else "ends: ok"
    found = [(f"HG08/protected:{n}", task) for n in range(3)]
    found += [("HG08/protected:3", f"{task}|ends: #TS"),
              ("HG09/endless-steps", None)]
    found += [("HG09/endless-debug", None),
              ("HG09/protected:6", None)] if bochs else []
    found += [("HG12/triple-fault", "dies: triple fault"),
              ("HG12/release-self", "dies: triple fault")]
    # each kind of access, at a place of nobody each
    places = (0x18000000, 0xfec00000, 0x3f000000, 0x20000000, 0x100000000,
              0xe8000000, 0xe0001000, 0x140000000, 0xfffff000, 0xd0000000,
              0xc0000000, 0x7f000000)
    found += [(f"HG18/touch:{kind << 40 | gpa:x}", f"{FOREIGN}{gpa >> 12:x}")
              for kind, gpa in enumerate(places)]
    found += [("HG19/write-state", FOREIGN + "e4000000"),
              ("HG19/write-peer", FOREIGN + "e4001000"),
              ("HG19/exec-channel", FOREIGN + "e4001000"),
              (f"HG19/touch:{10 << 40 | 0xe4001000:x}",
               f"{FOREIGN}|ends: #PF"),
              (f"HG19/touch:{11 << 40 | 0xe4000000:x}",
               f"{FOREIGN}|dies: triple fault"),
              ("HG20/execute-sizes", "ends: ok 0x40"),
              ("HG24/protected:4", "ends: #GP"),
              ("HG24/protected:5", "ends: ok"),
              ("HG24/protected:7", "ends: #GP"),
              ("HG27/reset-itself:0", "resets"),
              ("HG27/reset-itself:1", "resets"),
              ("HG27/service", "ends: ok 0x64"), ("END./end", "ends: ")]
    return found
