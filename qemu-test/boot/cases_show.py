# SPDX-License-Identifier: MIT
"""Boot tests: what the machine shows of itself, to programs and to people."""

import schema
from runner import BOCHS, case

DOCUMENTS = ("status", "memory", "disk", "net")
# 10 times made lasting on the volume, 5 on Linux's disk.
WORK = ("for i in 1 2 3 4 5 6 7 8 9 10; do dd if=/dev/zero of=/mnt/host/f "
        "bs=4k count=1 conv=fsync; done 2>&1 | grep -c records; "
        "for i in 1 2 3 4 5; do dd if=/dev/zero of=/dev/isthmus0 bs=4k "
        "count=3 conv=fsync; done 2>&1 | grep -c records")


def documents(t, run):
    """All documents, held to their schemas. run: a command's output."""
    told = {}
    for name in DOCUMENTS:
        text = run(f"{name} --json")
        told[name] = schema.read(text)
        t.check(text.count("\n") <= 1, f"{name} has several lines")
        wrong = schema.problems(told[name], schema.load(name))
        t.check(not wrong, f"{name} --json: {wrong[:5]}")
    return told


def lasting(t, told, least, what):
    """A histogram of fsync has counted, and its figures make sense."""
    t.check(told["count"] >= least and
            0 < told["p50"] <= told["p99"] <= told["max"],
            f"fsync of {what}: {told}")


@case("documents", "status, memory, disk and net --json are as their schemas "
      "say, and count what was done", later=BOCHS)
def all_documents(t):
    overlay = t.path("overlay")
    t.tool(["mkdir", "-p", overlay])
    with open(t.path("overlay/work"), "w", encoding="ascii") as f:
        f.write(WORK)
    console = t.console("--nic", "virtio", "--disk", t.path("disk.img"),
                        "--disk-size", "64", "--disk-volume", "--linux-disk",
                        "16", "--overlay", overlay)
    console.ready()
    before = documents(t, console.run)
    said = console.run("exec sh /work")
    t.check(said.startswith("20\n10\n"), f"the work said {said!r}")
    told = documents(t, console.run)
    disk = told["disk"]
    lasting(t, disk["volume"]["fsync"], 10, "the volume")
    lasting(t, disk["linux_disks"][0]["fsync"], 5, "Linux's disk")
    ours = [d for d in disk["disks"] if d["name"] == disk["volume"]["disk"]]
    lasting(t, ours[0]["fsync"], 5, "the disk")
    t.check(disk["linux_disks"][0]["partition"] == "linux" and
            disk["linux_disks"][0]["written_bytes"] >= 5 * 4096,
            f"Linux's disks are {disk['linux_disks']}")
    was, now = before["status"]["partitions"][1], \
        told["status"]["partitions"][1]
    t.check(now["channel"]["rx_bytes"] - was["channel"]["rx_bytes"] >=
            25 * 4096, f"the channel had {was['channel']}, {now['channel']}")
    t.check(sum(now["exits"].values()) > sum(was["exits"].values()),
            "no exits were counted")
    t.check(told["memory"]["partitions"][1]["memory"] ==
            told["memory"]["memory"]["linux"], "memory of two sizes")
    t.check(told["net"]["linuxes"][0]["partition"] == "linux" and
            told["net"]["nic"]["link"], f"net says {told['net']}")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
