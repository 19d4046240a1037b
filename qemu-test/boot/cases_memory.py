# SPDX-License-Identifier: MIT
"""Memory that Linux does not need any more."""

import json
import re

from cases_lifecycle import owners
from cases_several import manifest, up
from runner import BOCHS, PROMPT, QEMU, case

# A file of 64 MiB, then how much of the page cache is left when it is below $1
# KiB, or after $2 half seconds; in both, what the process that looks after it has
# been woken by in 10 s without work. Last, whether the file is as it was.
CACHE = r"""
cached() { awk '/\(file\):/ { n += $2 } END { print n }' /proc/meminfo; }
wakes() { awk '/ctxt_switches/ { n += $2 } END { print n }' $1/status; }
keeper=$(dirname $(grep -lx page-cache /proc/[0-9]*/comm | head -n 1))
f=/mnt/host/f
dd if=/dev/urandom of=$f bs=1M count=64
sum=$(sha256sum < $f)
echo full $(cached)
i=0
while [ $(cached) -gt $1 ] && [ $i -lt $2 ]; do
	i=$((i + 1))
	sleep 0.5
done
[ -e $keeper/status ] && sleep 2 && before=$(wakes $keeper)
echo small $(cached)
if [ -e $keeper/status ]; then
	sleep 10
	echo wakes $(($(wakes $keeper) - before))
fi
echo 3 > /proc/sys/vm/drop_caches
[ "$(sha256sum < $f)" = "$sum" ] && echo same 1
"""


def cached(t, setting, below_kib, turns):
    """What the script says: {word: number}."""
    script = t.path("fill")
    with open(script, "w", encoding="ascii") as f:
        f.write(CACHE)
    result = t.exec(f"sh /bin/fill {below_kib} {turns}",
                    "--overlay", t.overlay({"bin/fill": script}),
                    "--append", f"isthmus.cache={setting}")
    words = result.out.split()
    t.note += f"; {setting}: {' '.join(words)}"
    return dict(zip(words[::2], map(int, words[1::2])))


@case("page-cache", "the page cache of an idle Linux shrinks to its floor; "
      "nobody is woken then; or not at all",
      only=QEMU, why="a minute of idle time is long elsewhere")
def page_cache(t):
    said = cached(t, "8,100", 12 << 10, 60)
    t.check(said["full"] > 60 << 10, "the file was not cached")
    t.check(said["small"] < 12 << 10, "it did not shrink")
    t.check(said["small"] > 7 << 10, "it shrank below the floor")
    # Some 15: four looks for each time that Linux was at work by itself. One
    # every 100 ms would be 100.
    t.check(said["wakes"] < 40, "it was looked after when nothing changed")
    t.check("same" in said, "the file is another")
    said = cached(t, "off", 12 << 10, 10)
    t.check(said["small"] > 60 << 10, "it shrank, and should not")
    t.check("wakes" not in said, "there is a process for nothing")


STOCK = ("--kernel", "build/guest/vmlinuz-debian",
         "--initrd", "build/guest/initrd-debian.cpio")
UNIT_KIB = 2 << 10      # free pages are given back by such
# Of the host partition's: for devices ("dma-mib"); the volume's table, 8 bytes
# for each of its 65,536 blocks.
DMA_KIB = 32 << 10
VOLUME_KIB = 512


@case("memory-boot", "after boot nobody has more memory than he needs",
      later=BOCHS)
def memory_boot(t):
    console = t.console()
    console.ready()
    kib = {name: n >> 10 for name, n in owners(console).items()}
    t.note += f": {kib}"
    ours = kib["hypervisor"] + kib["host"] - DMA_KIB - VOLUME_KIB
    t.note += f", hypervisor and host partition {ours} KiB"
    t.check(ours <= 16 << 10, "hypervisor and host partition have more")
    t.check(kib["channels"] < 3 << 10, "channels have more")
    t.check(kib["linux"] <= 32 << 10, "Linux has more")
    t.check(sum(kib[name] for name in kib if name != "all") == kib["all"],
            "the sum is wrong")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


def near(before, after):
    """Whether 5 % of its KiB more are left to Linux, or a unit and tables."""
    return after <= before + max(before // 20, UNIT_KIB + 128)


def back(t, cpus):
    console = t.console("--smp", str(cpus), timeout=400)
    console.ready()
    console.expect(re.escape(PROMPT))

    def settled():
        """Bytes that Linux has, 3 s after the last thing it did."""
        console.run("exec sleep 3")
        return owners(console)["linux"]

    before = settled()
    sizes = [before >> 10]
    for busy in (False, True):
        if busy:        # a processor in its guest, which must be called out
            console.run("exec yes > /dev/null &")
        said = console.run("exec dd if=/dev/zero of=/dev/null bs=200M count=1")
        t.check("1+0 records out" in said, f"dd failed: {said!r}")
        t.check(owners(console)["linux"] > before + (150 << 20),
                "200 MiB were not there")
        after = settled()
        sizes.append(after >> 10)
        t.check(near(before >> 10, after >> 10), f"it keeps more: {sizes}")
    for _ in range(cpus - 1):                   # no processor is idle now
        console.run("exec yes > /dev/null &")
    console.run("exec dd if=/dev/zero of=/dev/null bs=40M count=1")
    for command in ("sleep 3", "killall yes; sleep 6"):
        console.run(f"exec {command}")
        sizes.append(owners(console)["linux"] >> 10)
    t.note += f": {' '.join(map(str, sizes))} KiB"
    t.check(sizes[-2] > sizes[0] + (30 << 10), "at work it did not keep 40 MiB")
    t.check(near(sizes[0], sizes[-1]), "idle it keeps them")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


@case("memory-back", "what Linux frees goes back to the pool while it runs, and "
      "can be had again", later=(*QEMU, *BOCHS))
def memory_back(t):
    back(t, 2)


@case("memory-back-4", "the same with four processors", later=(*QEMU, *BOCHS))
def memory_back_4(t):
    back(t, 4)


def larger(t, mib, machine_mib, *options):
    """The console of a machine whose Linux may have so much."""
    with open("boot/isthmus.dts", encoding="utf-8") as f:
        text = f.read()
    path = t.path("larger.dts")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text.replace("memory-mib = <384>", f"memory-mib = <{mib}>"))
    console = t.console("--manifest", path, "--memory", str(machine_mib),
                        *options, timeout=400)
    console.ready()
    return console


def back_512(t, *kernel):
    """What Linux has after each of several times that it has 512 MiB more and
    gives them up. It has 64 MiB in use, so that 5 % are some units of 2 MiB."""
    console = larger(t, 1280, 2048, *kernel)
    console.run("exec dd if=/dev/zero of=/tmp/k bs=1M count=64; sleep 5")
    sizes = [owners(console)["linux"] >> 10]
    for _ in range(2):
        for command in ("dd if=/dev/zero of=/tmp/f bs=1M count=512",
                        "rm /tmp/f; sleep 3"):
            console.run(f"exec {command}")
            sizes.append(owners(console)["linux"] >> 10)
    t.note += f": {' '.join(map(str, sizes))} KiB"
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
    first, once, before, full, after = sizes
    t.check(min(once, full) > first + (500 << 10), "Linux did not have it")
    t.check(before < first * 1.05, "the first time it kept too much")
    t.check(after < first * 1.05, "it did not give it back")


@case("memory-back-512", "512 MiB that Linux has freed are the machine's within "
      "3 s", only=QEMU, later=QEMU, why="minutes elsewhere")
def memory_back_512(t):
    back_512(t)


@case("memory-back-stock", "the same of Debian's kernel", only=QEMU, later=QEMU,
      why="minutes elsewhere")
def memory_back_stock(t):
    t.need(*STOCK[1::2])
    back_512(t, *STOCK)


@case("page-cache-2g", "of 2 GiB of page cache a quarter is left in 60 s, and "
      "the rest is the machine's", only=QEMU, later=QEMU, why="minutes elsewhere")
def page_cache_2g(t):
    console = larger(t, 4096, 6144)
    console.run("exec truncate -s 2G /mnt/host/f; sleep 5")
    sizes = [owners(console)["linux"] >> 10]
    for command in ("cat /mnt/host/f > /dev/null", "sleep 60"):
        said = console.run(f"exec {command}; grep ^Cached: /proc/meminfo")
        sizes += [owners(console)["linux"] >> 10,
                  int(re.search(r"Cached: +(\d+) kB", said)[1])]
    t.note += f": {' '.join(map(str, sizes))} KiB"
    before, full, cached_full, after, cached_after = sizes
    t.check(cached_full > 2000 << 10, "the file was not cached")
    t.check(cached_after < cached_full // 4, "the cache did not shrink")
    t.check(after < before + (full - before) // 4, "it was not given back")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


# In a Linux, until it ends: 24 MiB are taken, and processes begin and end.
CHURN = "while dd bs=24M count=1;do :;done</dev/zero>/dev/zero 2>&1 &"


def samples(t, console, count):
    """Reads `status --json` so many times: each time all that is told of is the
    machine's RAM, to the byte, and twice the same of partitions."""
    seen = []
    for _ in range(count):
        told = json.loads(re.search(r"^{.*}$", console.run("status --json"),
                                    re.M)[0])
        memory = told["memory"]
        t.check(sum(memory.values()) == 2 * memory["all"],
                f"the sum is wrong: {memory}")
        t.check({p["name"] for p in told["partitions"]} ==
                memory.keys() - {"free", "hypervisor", "channels", "all"},
                f"partitions are missing: {memory}")
        seen.append(memory)
    return seen


@case("memory-sums", "all memory has an owner in each moment, while Linux takes "
      "it and gives it back, and forks", later=(*QEMU, *BOCHS))
def memory_sums(t):
    names = ["c1", "c2", "c3"]
    console = t.console("--manifest", manifest(
        t, ["a"] + names, min_mib=4,
        **{name: "\t\t\ton-demand;\n" for name in names}), timeout=400)
    up(console, "a")
    seen = samples(t, console, 5)
    console.run(f"exec a: {CHURN}")
    seen += samples(t, console, 30)
    moved = [one["a"] for one in seen]
    t.check(max(moved) > min(moved) + (16 << 20), f"nothing moves: {moved}")
    console.run("exec a: killall sh")
    t.check("is a template now" in console.run("linux freeze a"),
            "a was not frozen")
    for name in names:
        t.check("goes on" in console.run(f"linux fork a {name}"),
                f"{name} was not forked")
        console.run(f"exec {name}: {CHURN}")
        seen += samples(t, console, 10)
    for name in names:
        console.send(f"linux stop {name}")
        console.expect("has shut down")
        seen += samples(t, console, 5)
    t.check({one["all"] for one in seen} == {seen[0]["all"]},
            f"the machine's RAM changes: {seen}")
    t.note += f": {len(seen)} times {seen[0]['all'] >> 10} KiB"
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
