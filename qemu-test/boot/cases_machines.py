# SPDX-License-Identifier: MIT
"""Other machines than the default one: chipsets, firmware in flash, many
CPUs, little and much memory. `make test-all`, or by name."""

import os

from cases_lifecycle import REBOOTS, reboots
from cases_nested import SOUND
from runner import BOCHS, NESTED, QEMU, case

GIB = 1024


def sound(t, *options, cpus=1, timeout=150):
    """Linux is up and its files work; returns its MiB of memory."""
    result = t.exec(SOUND, *options, timeout=timeout)
    got, mib = result.out.split()
    t.check(int(got) == cpus, f"Linux has {got} CPUs, not {cpus}")
    return int(mib)


@case("pc", "the chipset i440FX", only=(*QEMU, *NESTED),
      why="Bochs has this one always")
def pc(t):
    sound(t, "--machine", "pc")


@case("pflash", "the firmware in flash", only=(*QEMU, *NESTED),
      why="Bochs maps the firmware as a ROM")
def pflash(t):
    sound(t, "--pflash")


@case("pc-pflash", "the chipset i440FX, the firmware in flash",
      only=(*QEMU, *NESTED),
      why="Bochs maps the firmware as a ROM")
def pc_pflash(t):
    sound(t, "--machine", "pc", "--pflash", "--smp", "2", cpus=2)


@case("disk-virtio", "the boot disk is a virtio disk", only=(*QEMU, *NESTED),
      why="Bochs has IDE")
def disk_virtio(t):
    sound(t, "--boot-disk", "virtio")


@case("disk-nvme", "the boot disk is an NVMe disk", only=(*QEMU, *NESTED),
      why="Bochs has IDE")
def disk_nvme(t):
    sound(t, "--boot-disk", "nvme")


@case("cpu-host", "-cpu host, and no word more", only=NESTED,
      why="this is KVM's")
def cpu_host(t):
    sound(t, "--cpu", "host")


@case("smp3", "three CPUs")
def smp3(t):
    sound(t, "--smp", "3", cpus=3)


@case("smp4", "four CPUs")
def smp4(t):
    sound(t, "--smp", "4", cpus=4, timeout=300)


@case("smp8", "eight CPUs")
def smp8(t):
    sound(t, "--smp", "8", cpus=8, timeout=600)


@case("memory-512", "512 MiB of memory")
def memory_512(t):
    mib = sound(t, "--memory", "512")
    t.check(mib > 300, f"Linux has {mib} MiB")


# Linux has the forty files and has not told the host of them, as the last 16
# MiB are taken in pieces that go through its pages. What was written is there.
FILL = r"""
cd /tmp
room=$(df -m /mnt/host | awk 'NR == 2 { print $4 }')
dd if=/dev/zero of=/mnt/host/most bs=1M count=$((room - 16))
for i in $(seq 40); do head -c 50000 /dev/urandom > f$i; done
cp f* /mnt/host
tr '\0' x < /dev/zero | dd of=/mnt/host/all bs=20k
sync
echo 3 > /proc/sys/vm/drop_caches
same=0
for f in f*; do cmp $f /mnt/host/$f && same=$((same + 1)); done
echo same: $same
echo lost: $(tr -d x < /mnt/host/all | wc -c)
"""


@case("memory-end", "a volume larger than the memory is full before that ends",
      only=QEMU, why="220 MiB written are long minutes elsewhere")
def memory_end(t):
    share = t.path("share")
    os.mkdir(share)
    # Holes, which cost nothing until they are written: 464 MiB of volume.
    with open(os.path.join(share, "holes"), "wb") as f:
        f.truncate(200 << 20)
    with open(os.path.join(share, "fill"), "w", encoding="utf-8") as f:
        f.write(FILL)
    console = t.console("--memory", "512", "--share", share, timeout=300)
    console.ready()
    console.run("exec head -c 50000000 /dev/zero > /tmp/own")
    said = console.run("exec sh /mnt/host/fill")
    t.check("No space left" in said, f"dd said {said!r}")
    t.check("same: 40\nlost: 0\n" in said,
            f"of what was written is lost: {said!r}")
    # Who writes is told, also who writes little.
    said = console.run("exec echo here > /mnt/host/small; "
                       "stat -c 'has %s' /mnt/host/small")
    t.check("No space left" in said and "has 0" in said,
            f"echo said {said!r}")
    said = console.run("exec stat -c %s /mnt/host/most")
    mib = int(said.split()[0]) >> 20
    t.check(150 < mib < 300, f"{mib} MiB could be written")
    t.check(console.state("host") == "running", "the host does not run")
    said = console.run("mkdir /d")
    t.check("No space left" in said, f"mkdir said {said!r}")
    console.run("exec rm /mnt/host/most /mnt/host/all")
    console.run("mkdir /d")
    said = console.run("exec echo here > /mnt/host/d/a; cat /mnt/host/d/a")
    t.check("here" in said, f"the volume says {said!r}")
    t.check("here" in console.run("cat /d/a"), "the host reads otherwise")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


@case("memory-2g", "2 GiB of memory", only=BOCHS, why="QEMU has more below")
def memory_2g(t):
    sound(t, "--memory", str(2 * GIB))


def large(t, machine, linux, fill):
    """A machine of `machine` MiB, a cap for Linux of `linux` MiB, of which
    it uses `fill`; the pages must be its own, so they keep what is written
    to them."""
    result = t.exec(
        "set -e; awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo; "
        f"mount -t tmpfs -o size={fill + 64}m tmpfs /tmp; cd /tmp; "
        "head -c 1048576 /dev/urandom > unit; i=0; "
        f"while [ $i -lt {fill} ]; do cat unit; i=$((i + 1)); done > all; "
        "tail -c 1048576 all | cmp - unit; head -c 1048576 all | cmp - unit; "
        "rm all; echo kept; echo here > /mnt/host/a; cat /mnt/host/a",
        "--memory", str(machine), "--linux-memory", str(linux), timeout=300)
    words = result.out.split()
    t.check(words[1:] == ["kept", "here"], f"it said {result.out!r}")
    t.check(int(words[0]) > linux * 9 // 10, f"Linux has {words[0]} MiB")


@case("memory-6g", "6 GiB, 5 of them Linux's, RAM above 4 GiB used",
      only=QEMU, why="Bochs 2.7 has no memory above 4 GiB with this firmware")
def memory_6g(t):
    large(t, 6 * GIB, 5 * GIB, 4 * GIB)


@case("memory-16g", "16 GiB, 12 of them Linux's", only=QEMU,
      why="Bochs 2.7 has no memory above 4 GiB with this firmware")
def memory_16g(t):
    large(t, 16 * GIB, 12 * GIB, 256)


@case("debian-reboot", "Debian's stock kernel comes back too", only=QEMU,
      why="seven boots of it are half an hour of Bochs")
def debian_reboot(t):
    kernel = "build/guest/vmlinuz-debian"
    initrd = "build/guest/initrd-debian.cpio"
    t.need(kernel, initrd)
    console = t.console("--kernel", kernel, "--initrd", initrd, timeout=900)
    reboots(console, REBOOTS)
    t.check(console.finish() == 0, "poweroff did not end the machine well")
