# SPDX-License-Identifier: MIT
"""Tests of `isthmus decode`: run by tools/selftest's check or alone."""

import io
import os
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))

from isthmus_lib import decode, decode_vmx  # noqa: E402


class NoSymbols:
    """Symbols that are always known."""

    def name(self, image, address):
        return f"some_function in {image}" if address else None


def explain(text):
    """All meanings of a text, one a line."""
    out = io.StringIO()
    decode.decode(text.splitlines(True), out, NoSymbols())
    return [line.strip()[2:] for line in out.getvalue().splitlines()
            if line.startswith("      = ")]


class Vmx(unittest.TestCase):
    def one(self, text, expected):
        self.assertIn(expected, explain(text))

    def test_io(self):
        self.one("  VMCS EXIT_REASON 0x1e  EXIT_QUALIFICATION 0x3f80038\n",
                 "EXIT_QUALIFICATION: IN of 1 byte(s), port 0x3f8, string "
                 "instruction, REP prefixed, port in DX")

    def test_qualification_needs_its_reason(self):
        self.assertEqual(explain("EXIT_QUALIFICATION 0x30\n"), [])

    def test_ept_violation_over_two_lines(self):
        said = explain("  VMCS INSN_ERROR 0x0  EXIT_REASON 0x30\n"
                       "  VMCS EXIT_QUALIFICATION 0x182  "
                       "GUEST_PHYSICAL_ADDRESS 0xfee00020\n")
        self.assertIn("EXIT_REASON: EPT violation", said)
        self.assertIn("EXIT_QUALIFICATION: data write; EPT allows --- (not "
                      "present), of the linear address's own translation",
                      said)
        self.assertIn("GUEST_PHYSICAL_ADDRESS: local APIC page, register "
                      "0x20", said)

    def test_control_registers(self):
        for value, words in ((0x300, "MOV to CR0 from RBX"),
                             (0x18, "MOV from CR8 to RAX"),
                             (0x20, "CLTS"),
                             (0x90030, "LMSW, source 0x9, register "
                              "operand")):
            self.one(f"EXIT_REASON 28\nEXIT_QUALIFICATION {value:#x}\n",
                     "EXIT_QUALIFICATION: " + words)

    def test_debug_exception(self):
        self.one("EXIT_REASON 0x0 EXIT_QUALIFICATION 0x4001",
                 "EXIT_QUALIFICATION: B0 BS")

    def test_entry_failure(self):
        self.one("EXIT_REASON 0x80000021", "EXIT_REASON: VM-entry failure "
                 "due to invalid guest state, VM-entry failure")
        self.one("VMCS INSN_ERROR 0x7", "INSN_ERROR: VM entry with invalid "
                 "control field(s)")

    def test_controls(self):
        self.one("PIN_BASED_CTLS 0x7f", "PIN_BASED_CTLS: external-interrupt "
                 "exiting; NMI exiting; virtual NMIs; activate "
                 "VMX-preemption timer")
        self.one("PROC_BASED_CTLS2 0xa2", "PROC_BASED_CTLS2: enable EPT; "
                 "enable VPID; unrestricted guest")
        self.one("ENTRY_CTLS 0xd3ff", "ENTRY_CTLS: load debug controls; "
                 "IA-32e mode guest; load IA32_PAT; load IA32_EFER")

    def test_reserved_controls_are_not_features(self):
        for names, ones in ((decode_vmx.PIN, decode_vmx.PIN_DEFAULT1),
                            (decode_vmx.PROC, decode_vmx.PROC_DEFAULT1)):
            both = [b for b in names if ones >> b & 1]
            # bits 15 and 16 of the second: off only with the TRUE MSRs
            self.assertTrue(set(both) <= {15, 16}, both)

    def test_events(self):
        self.one("ENTRY_INTR_INFO 0x80000b0d", "ENTRY_INTR_INFO: hardware "
                 "exception, #GP general protection, error code valid")
        self.one("IDT_VECTORING_INFO 0x80000041", "IDT_VECTORING_INFO: "
                 "external interrupt, vector 0x41")
        self.one("ENTRY_INTR_INFO 0x0", "ENTRY_INTR_INFO: not valid")

    def test_access_rights(self):
        self.one("GUEST_CS_AR 0xa09b", "GUEST_CS_AR: code readable, DPL 0, "
                 "present, L (64-bit), G")
        self.one("GUEST_LDTR_AR 0x10000", "GUEST_LDTR_AR: unusable")
        self.one("GUEST_TR_AR 0x8b", "GUEST_TR_AR: busy TSS, DPL 0, present")


class Svm(unittest.TestCase):
    def test_nested_page_fault(self):
        said = explain("  VMCB exitcode 0x400 exitinfo1 0x100000006 "
                       "exitinfo2 0xe4000000 exitintinfo 0\n")
        self.assertEqual(said, [
            "exitcode: VMEXIT_NPF (nested page fault)",
            "exitinfo1: write, nested page not present, at the final address",
            "exitinfo2: guest-physical address: channel 0's region, offset "
            "0x0 (state table)",
            "exitintinfo: not valid"])

    def test_io_and_msr(self):
        self.assertIn("exitinfo1: OUT of 4 byte(s), port 0xc00c",
                      explain("exitcode 0x7b exitinfo1 0xc00c0140"))
        self.assertIn("exitinfo1: WRMSR",
                      explain("exitcode 0x7c exitinfo1 0x1"))

    def test_codes(self):
        for code, words in ((0x14, "VMEXIT_CR4_WRITE"),
                            (0x41, "VMEXIT_EXCP1, #DB debug"),
                            (0xffffffff, "VMEXIT_INVALID (VMRUN refused the "
                             "guest state)"),
                            (0xffffffffffffffff, "VMEXIT_INVALID (VMRUN "
                             "refused the guest state)")):
            self.assertIn("exitcode: " + words, explain(f"exitcode {code:#x}"))

    def test_vmcb_state(self):
        said = explain("  VMCB cs 0x10 attrib 0xa9b base 0 ss attrib 0xc93 "
                       "tr attrib 0x8b cpl 0\n"
                       "  VMCB eventinj 0x80000306 int_ctl 0x1100100 "
                       "int_state 0x1 asid 2 tlb_control 3 n_cr3 0x1000\n"
                       "  VMCB cr0 0x80000031 cr4 0x20 efer 0x1500\n")
        for words in ("attrib: code readable, DPL 0, present, L (64-bit), G",
                      "attrib: busy TSS, DPL 0, present",
                      "eventinj: hardware exception, #UD invalid opcode",
                      "int_ctl: V_IRQ pending, V_IGN_TPR, V_INTR_MASKING, "
                      "V_INTR_PRIO 0",
                      "int_state: interrupt shadow",
                      "tlb_control: flush this guest's TLB entries",
                      "cr0: PE ET NE PG", "efer: LME LMA SVME"):
            self.assertIn(words, said)


class Crashes(unittest.TestCase):
    def test_partition_stopped(self):
        said = explain("isthmus: partition linux stopped: reason 2 detail "
                       "0xfee00020 at RIP 0x20198b\n")
        self.assertEqual(said, [
            "reason 2: GPM_FAULT: it touched memory it does not have",
            "detail: guest-physical address, local APIC page, register 0x20"])
        said = explain("isthmus: partition linux stopped: reason 3 detail "
                       "0x80000021 at RIP 0x0\n")
        self.assertIn("detail: on VT-x VM-entry failure due to invalid guest "
                      "state, VM-entry failure; on AMD-V unknown exit code",
                      said)

    def test_panic_names_its_function(self):
        said = explain("isthmus: PANIC in the hypervisor: exception 14 error "
                       "0x2 at 0xffffffff80001234, CR2 0x10, RSP 0x0, RAX "
                       "0x0 RCX 0x0 RDX 0x0 RDI 0x0 RSI 0x0\n")
        self.assertEqual(said, [
            "#PF page fault",
            "error 0x2: write at CPL 0-2: page not present, at 0x10",
            "ffffffff80001234: some_function in hypervisor"])

    def test_host_bridge(self):
        said = explain("isthmus: FAILED stage 62 volume: host-bridge "
                       "crashed: page fault (vector 14, error 0) at 203f1a, "
                       "address 8: null pointer\n")
        self.assertEqual(said, [
            "#PF page fault",
            "error 0x0: read at CPL 0-2: page not present, at 0x8",
            "203f1a: some_function in host-bridge"])

    def test_host_bridge_calls(self):
        self.assertEqual(
            explain("  calls (addr2line -fe host-bridge.elf ...): 2034ab "
                    "204000\n"),
            ["2034ab: some_function in host-bridge",
             "204000: some_function in host-bridge"])

    def test_refused_entry(self):
        self.assertEqual(
            explain("  VM entry refused: GUEST_CR4 is 0x2000, must be 1 in "
                    "bits (0x20)\n"), ["GUEST_CR4: VMXE"])

    def test_vcpu_lines(self):
        said = explain("vCPU linux/0: RIP 0x1 RSP 0x2 RFLAGS 0x246 CPL 0\n"
                       "  CR0 0x80050033 CR3 0x1000 CR4 0x20 EFER 0xd01\n")
        self.assertEqual(said, [
            "RFLAGS: 1 PF ZF IF", "CR0: PE MP ET NE WP AM PG",
            "CR4: PAE", "EFER: SCE LME LMA NXE"])

    def test_trace_lines(self):
        self.assertEqual(
            explain("T1.0 msr-write rip=20084b reg=3a value=5 -> "
                    "exception=d error=0\n"),
            ["reg: IA32_FEATURE_CONTROL", "#GP general protection"])
        self.assertEqual(
            explain("T1.1 memory rip=0 gpa=e4000004 access=w ->\n"),
            ["gpa: channel 0's region, offset 0x4 (state table)"])

    def test_other_text_stays_as_it_is(self):
        text = "[    0.1] Linux version 6.1\nisthmus> status 3\n"
        out = io.StringIO()
        decode.decode(text.splitlines(True), out, NoSymbols())
        self.assertEqual(out.getvalue(), text)


if __name__ == "__main__":
    unittest.main()
