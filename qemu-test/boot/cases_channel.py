# SPDX-License-Identifier: MIT
"""The channel driver under what root may do to it, and comes back from."""

import time

from runner import QEMU, case

MOUNT = "mount -t isthmus host "
AGAIN = f"umount -l /mnt/host; {MOUNT} /mnt/host; cat /mnt/host/f"

# Three mounts at a time, of one superblock.
MOUNTS = ("set -e; mkdir -p /a /b; echo one > /mnt/host/f; "
          f"{MOUNT} /a; {MOUNT} /b; cat /a/f; echo two > /b/f; "
          "cat /mnt/host/f; umount /mnt/host; cat /a/f; umount /a; "
          f"cat /b/f; for i in 1 2 3 4 5; do {MOUNT} /a; "
          f"cat /a/f; umount /a; done; umount /b; {MOUNT} /mnt/host")

# What takes the channel down, and so the session it is started from, runs
# detached, and tells its end by Linux's own console: no session is to be there
# when the module goes.
SCRIPTS = {
    # Files that are being written, and open, do not notice.
    "reset": "exec 3>>/mnt/host/g; for i in 1 2 3 4 5 6 7 8; do (b=/mnt/host/b$i; "
             "cp /bin/busybox $b; mv $b $b.x; cmp /bin/busybox $b.x && "
             "rm $b.x && echo same) & done; "
             "for i in 1 2 3 4 5; do driver reset; sleep 0.3; done; wait; "
             f"echo on >&3; cat /mnt/host/f /mnt/host/g; {AGAIN}",
    # The device goes while files and sockets are busy and a file is open.
    "remove": "exec 3</mnt/host/f; driver storm /mnt/host & sleep 0.3; "
              "d=/sys/bus/pci/devices/$(ls /sys/bus/pci/drivers/isthmus | "
              "grep :); echo 1 > $d/remove; wait; cat /mnt/host/f; "
              "echo 1 > /sys/bus/pci/rescan; cat /mnt/host/f; "
              f"{AGAIN}; cd /sys/bus/pci/drivers/isthmus; d=$(ls | grep :); "
              f"echo $d > unbind; cat /mnt/host/f; {MOUNT} /a; "
              f"echo $d > bind; {AGAIN}",
    # A module in use stays; then it goes, and comes again, three times. Sockets
    # whose peer went with the device are Linux's for 8 s more
    # (VSOCK_CLOSE_TIMEOUT): they are waited for, until the mount is alone.
    "unload": "i=0; while [ $(cat /sys/module/isthmus/refcnt) -gt 1 ] && "
              "[ $i -lt 30 ]; do sleep 1; i=$((i + 1)); done; "
              "rmmod isthmus; umount /mnt/host; " + 3 * (
        "rmmod isthmus && lsmod | grep isthmus; "
        "insmod /lib/modules/isthmus.ko; ") +
        f"{MOUNT} /mnt/host; cat /mnt/host/f; driver storm /mnt/host",
}


def overlay(t):
    """The test program and the scripts: /test/NAME."""
    files = {"bin/driver": t.guest_program("driver")}
    scripts = {name: f"(sleep 1; {text}) >/tmp/said 2>&1; "
               f"echo '<2>{name} is done' >/dev/kmsg"
               for name, text in SCRIPTS.items()}
    for name, text in {"mounts": MOUNTS, **scripts}.items():
        files[f"test/{name}"] = t.path(name)
        with open(t.path(name), "w", encoding="ascii") as f:
            f.write(text + "\n")
    return ["--overlay", t.overlay(files)]


def detached(t, console, name):
    """Runs a script that the session does not outlive. Returns what it
    printed."""
    done = f"{name} is done"
    before = linux_log(t).count(done)
    console.run(f"exec setsid sh /test/{name} </dev/null >/dev/null 2>&1 &")
    while linux_log(t).count(done) == before:
        t.check(console.process.poll() is None,
                f"{name} did not come to its end")
        time.sleep(0.5)
    return console.run("exec cat /tmp/said")


def linux_log(t):
    """What Linux has printed by itself so far."""
    with open(t.path("linux-1.log"), encoding="utf-8", errors="replace") as f:
        return f.read()


@case("driver-life", "mounts; channel reset; device removed; module reloaded",
      only=QEMU, why="the driver knows no vendor")
def driver_life(t):
    console = t.console(*overlay(t), timeout=400)
    console.ready()
    said = console.run("exec sh /test/mounts")
    t.check(said.startswith("one\n" + 8 * "two\n"), f"Linux saw {said!r}")
    console.run("exec echo kept > /mnt/host/f")
    for turn in range(2):
        said = detached(t, console, "reset")
        t.check(said.count("same\n") == 8 and "No such" not in said and
                "kept\n" + (turn + 1) * "on\n" + "kept\n" in said,
                f"a reset was noticed: {said!r}")
    said = console.run("exec dmesg | grep 'channel '")
    t.check(said.count("channel down") >= 4 and
            said.count("channel up") == said.count("channel down") + 1,
            f"the driver said {said!r}")

    said = detached(t, console, "remove")
    t.check(said.count("kept\n") == 2 and said.count("ot connected") >= 3,
            f"after removal: {said!r}")
    t.check("No such device" in said, f"a mount without device: {said!r}")
    said = detached(t, console, "unload")
    t.check("rmmod: " in said.split("kept\n")[0] and said.count("rmmod") == 1,
            f"a mounted module must stay, another go: {said!r}")
    t.check("kept\n" in said and "driver: all passed" in said,
            f"the module does not work when loaded again: {said!r}")
    said = console.run("exec dmesg | grep -E 'WARNING:|BUG|Oops|leak'")
    t.check(said == "[exit status 1]\n", f"the kernel's log: {said!r}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
