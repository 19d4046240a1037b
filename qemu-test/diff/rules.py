# SPDX-License-Identifier: MIT
"""What two exit traces need not have in common, each with its reason. All
that is not named here must be equal."""

# Exits that are left out.
DROPPED = {
    "ext-intr": "when an interrupt of the machine comes is time",
    "timer": "when a slice ends is time; AMD-V has no such exit",
    "intr-window": "needed or not as an interrupt comes early or late; what "
                   "is delivered has a line of its own",
    "nmi": "with AMD-V the IRET of an NMI handler exits, with VT-x the "
           "processor tracks it",
    "dr-access": "the first use of a debug register after each switch of "
                 "vCPUs, which is time; the guest reports what it reads",
    "xsetbv": "QEMU's emulation does not let XSETBV exit; the guest reports "
              "the answer and reads XCR0 back",
    "undefined": "whether the processor raises #UD or we do differs by "
                 "instruction; the guest reports what it gets",
}

# Stretches that the guest marks with known(): "all" leaves them out, else
# the fields named are.
KNOWN = {
    1: ("all", "QEMU's emulation does not check that a base written to "
        "IA32_FS_BASE is canonical"),
    2: ("all", "QEMU's emulation has no alignment check (#AC)"),
    3: ("all", "CR0.CD and NW: with VT-x a guest reads back what it wrote, "
        "with AMD-V they stay 0; caches are on in either case"),
    4: ("access", "a read-modify-write and a page walk count as reads on "
        "one, as writes on the other; the page comes writable either way"),
}

# The same, for QEMU 10 only.
KNOWN_QEMU_10 = {
    5: ("all", "QEMU 10's emulation does not check that INVD and WBINVD come "
        "at CPL 0"),
    6: ("all", "in QEMU 10 a read of CR2 to CR8 exits where one of CR0 is to "
        "exit: the guest sees the CR4.MCE that the hypervisor keeps set, and "
        "no task priority"),
}

# CR0 and CR4 bits that a VT-x guest changes without an exit (vmx/vcpu.c);
# AMD-V has no such masks, so a write that changes nothing else is left out.
GUEST_OWNED = {0: 0x0005000e, 4: 0x0000068f}

ALL = 0xffffffff
VENDOR = "the processor's vendor"
MODEL = "family, model, stepping"
FEATURE = "a feature that one of the processors does not have"
CACHES = "caches, described by Intel only or by AMD only"
BRAND = "the processor's name"

# CPUID answers: leaf, subleaf (None: any), register, bits, reason.
CPUID = [
    (0x0, None, "rbx", ALL, VENDOR),
    (0x0, None, "rcx", ALL, VENDOR),
    (0x0, None, "rdx", ALL, VENDOR),
    (0x1, None, "rax", ALL, MODEL),
    (0x1, None, "rcx", 1 << 17, FEATURE),           # PCID
    (0x1, None, "rdx", 1 << 1, FEATURE),            # VME
    (0x4, None, "rax", ALL, CACHES),
    (0x4, None, "rbx", ALL, CACHES),
    (0x4, None, "rcx", ALL, CACHES),
    (0x4, None, "rdx", ALL, CACHES),
    # ERMS (also measured: slow strings hide it), INVPCID, RDSEED, ADX, SMAP,
    # CLFLUSHOPT, CLWB, SHA
    (0x7, 0, "rbx", 1 << 9 | 1 << 10 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 23
     | 1 << 24 | 1 << 29, FEATURE),
    (0x7, 0, "rcx", 1 << 2, FEATURE),               # UMIP
    (0xd, 1, "rax", 6, FEATURE),                    # XSAVEC, XGETBV(1)
    (0x80000000, None, "rbx", ALL, VENDOR),
    (0x80000000, None, "rcx", ALL, VENDOR),
    (0x80000000, None, "rdx", ALL, VENDOR),
    (0x80000001, None, "rax", ALL, MODEL),
    # LAHF, ABM, SSE4A, MISALIGNSSE, PREFETCHW
    (0x80000001, None, "rcx", 0x1e1, FEATURE),
    (0x80000001, None, "rdx", 1 << 26, FEATURE),    # 1 GiB pages
    (0x80000002, None, None, ALL, BRAND),
    (0x80000003, None, None, ALL, BRAND),
    (0x80000004, None, None, ALL, BRAND),
    (0x80000006, None, "rcx", ALL, CACHES),
    (0x80000007, None, "rdx", 1 << 8, FEATURE),     # invariant TSC
    (0x80000008, None, "rax", 0xffff, FEATURE),     # address widths
]

# Fields of other exits: code, {operand: value} that selects it, field,
# reason.
FIELDS = [
    ("hypercall", {"nr": 0x0}, "rdx", "the TSC's rate"),
    ("msr-read", {"reg": 0x10}, "rax", "the TSC is time"),
    ("msr-read", {"reg": 0x10}, "rdx", "the TSC is time"),
    ("msr-write", {"reg": 0x6e0}, "value", "a deadline is time"),
    ("start", {}, "cr0", "KNOWN 3"),
    ("cr-access", {}, "cr0", "KNOWN 3; the guest reads it back"),
    ("cr-access", {}, "cr4", "the guest reads it back"),
]
