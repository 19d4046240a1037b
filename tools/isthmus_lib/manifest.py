# SPDX-License-Identifier: MIT
"""Turns a manifest source (.dts) into the blob on the boot disk.

The source names modules and partitions; what depends on this very boot is
filled in here: where each module lies on the disk and its SHA-256, and what
the command line asks for.
"""

import os
import subprocess

from isthmus_lib import control, devicetree, sandbox
from isthmus_lib.common import BUILD, ROOT, Failure, sha256_of

BOOTARGS_MAX = 2047             # boot/manifest_decode.c
DEFAULT = os.path.join(ROOT, "boot", "isthmus.dts")
MODULE_FILES = {
    "hypervisor": os.path.join(BUILD, "hypervisor", "hypervisor.elf"),
    "host-bridge": os.path.join(BUILD, "host-bridge", "host-bridge.elf"),
    "kernel": os.path.join(BUILD, "guest", "bzImage"),
    "initrd": os.path.join(BUILD, "guest", "initrd.cpio"),
}


def compile_source(path):
    """The tree of a .dts file."""
    result = subprocess.run(
        ["dtc", "-q", "-I", "dts", "-O", "dtb", "-i", os.path.dirname(path),
         path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if result.returncode:
        raise Failure(f"dtc does not compile the manifest {path}:\n"
                      + result.stderr.decode(errors="replace"), 2)
    return devicetree.parse(result.stdout)


def module_files(tree, own):
    """{name: file} of the manifest's modules. `own` are those this boot
    supplies or replaces; a module may also name its file (relative to the
    project) in the property "file", which the blob then lacks."""
    files = {}
    modules = tree.find("modules")
    for node in modules.children if modules else []:
        named = node.props.pop("file", None)
        if node.name in own:
            files[node.name] = own[node.name]
        elif named:
            files[node.name] = os.path.join(
                ROOT, os.fsdecode(named.rstrip(b"\0")))
        else:
            files[node.name] = MODULE_FILES.get(node.name)
        path = files[node.name]
        if path is None:
            raise Failure(f"the manifest's module '{node.name}' is none this "
                          "tool knows; give it a property file = \"...\"", 2)
        if not os.path.exists(path):
            raise Failure(f"module '{node.name}': {path} is not there"
                          + (" (run `make all`)" if path.startswith(BUILD)
                             else ""), 2)
    return files


def _set_device(chosen, disk, word):
    """Linux's disk is the one of the machine's with that word."""
    disk.set_text("device", word)
    words = chosen.text("writable-disks", "").split()
    if word not in words:
        chosen.set_text("writable-disks", " ".join([*words, word]))


def _append(node, words):
    """More words for that Linux."""
    line = f"{node.text('bootargs', '')} {words}".strip()
    if len(os.fsencode(line)) > BOOTARGS_MAX:
        raise Failure(f"--append: {BOOTARGS_MAX} bytes are the most for "
                      "Linux's command line, these are "
                      f"{len(os.fsencode(line))}", 2)
    node.set_text("bootargs", line)


def _distributions(tree, chosen, named):
    """Each has a disk, of the Linux that the manifest says, or the first; the
    first of a Linux's is its default one."""
    partitions = tree.find("partitions")
    guests = {n.props.get("id"): n for n in
              (partitions.children if partitions else ())
              if "kernel" in n.props}
    for name, device, user in named:
        disk = tree.child("disks").child(f"distro-{name}")
        if "partition" not in disk.props:
            disk.set_cell("partition", 1)
        _set_device(chosen, disk, device)
        guest = guests.pop(disk.props["partition"], None)
        if guest:
            _append(guest, f"isthmus.distro={name}"
                    + (f",{user}" if user else ""))


def fill_in(tree, files, options):
    """Completes the tree for the given modules and command line."""
    for name, path in files.items():
        node = tree.child("modules").child(name)
        if "path" not in node.props:
            node.set_text("path", "\\isthmus\\" + name)
        node.props["sha256"] = bytes.fromhex(sha256_of(path))
    chosen = tree.child("chosen")
    if options.exec is not None:
        chosen.set_text("exec", options.exec)
    if options.samples is not None:
        chosen.set_text("sample-seconds", str(options.samples))
    if options.mark is not None:
        chosen.set_text("mark", options.mark)
    if options.disks is not None:
        chosen.set_text("writable-disks", options.disks)
    if options.volume_disk is not None:
        chosen.set_text("volume-disk", options.volume_disk)
    partitions = tree.find("partitions")
    for node in partitions.children if partitions else []:
        if "kernel" not in node.props:
            continue
        if options.append:
            _append(node, options.append)
        if options.smp and not options.manifest:
            node.set_cell("vcpus", options.smp)
        if options.linux_memory:
            node.set_cell("memory-mib", options.linux_memory)
    if options.linux_disk:
        disk = tree.child("disks").child("root")
        disk.set_cell("partition", 1)
        if isinstance(options.linux_disk, str):
            _set_device(chosen, disk, options.linux_disk)
        else:
            disk.set_text("file", "/linux-disk")
            disk.set_cell("size-mib", options.linux_disk)
    _distributions(tree, chosen, options.distros)
    if options.sandbox:
        sandbox.fill_in(tree, options.sandbox)
    if options.control_key:
        network = tree.child("network")
        if "off" in network.props:
            raise Failure("--control: the manifest's network is off", 2)
        network.set_text("control", str(control.PORT))
        network.set_text("control-key", options.control_key)
