# SPDX-License-Identifier: MIT
"""Memory that Linux does not need any more."""

from cases_lifecycle import owners
from runner import QEMU, case

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
    said = cached(t, "8,200", 12 << 10, 60)
    t.check(said["full"] > 60 << 10, "the file was not cached")
    t.check(said["small"] < 12 << 10, "it did not shrink")
    t.check(said["small"] > 7 << 10, "it shrank below the floor")
    t.check(said["wakes"] < 15, "it was looked after when nothing changed")
    t.check("same" in said, "the file is another")
    said = cached(t, "off", 12 << 10, 10)
    t.check(said["small"] > 60 << 10, "it shrank, and should not")
    t.check("wakes" not in said, "there is a process for nothing")


STOCK = ("--kernel", "build/guest/vmlinuz-debian",
         "--initrd", "build/guest/initrd-debian.cpio")


@case("memory-boot", "the hypervisor has no more memory than it needs after boot")
def memory_boot(t):
    console = t.console()
    console.ready()
    kib = {name: n >> 10 for name, n in owners(console).items()}
    t.note += f": {kib}"
    t.check(kib["hypervisor"] + kib["channels"] < 12 << 10,
            "hypervisor and channels have more")
    t.check(kib["linux"] < 36 << 10, "Linux has more")
    t.check(sum(kib[name] for name in kib if name != "all") == kib["all"],
            "the sum is wrong")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")


# Twice, for the first time leaves some in pieces that are too small to be given
# back.
@case("memory-back-512", "512 MiB that Linux has freed are the machine's within "
      "3 s", only=QEMU, later=QEMU, why="minutes elsewhere")
def memory_back_512(t):
    with open("boot/isthmus.dts", encoding="utf-8") as f:
        text = f.read()
    manifest = t.path("more.dts")
    with open(manifest, "w", encoding="utf-8") as f:
        f.write(text.replace("memory-mib = <384>", "memory-mib = <1280>"))
    console = t.console("--manifest", manifest, "--memory", "2048", *STOCK,
                        timeout=400)
    console.ready()
    sizes = []
    for command in ("sleep 5", "dd if=/dev/zero of=/tmp/f bs=1M count=512",
                    "rm /tmp/f; sleep 3",
                    "dd if=/dev/zero of=/tmp/f bs=1M count=512",
                    "rm /tmp/f; sleep 3"):
        console.run(f"exec {command}")
        sizes.append(owners(console)["linux"] >> 10)
    t.note += f": {' '.join(map(str, sizes))} KiB"
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
    first, once, before, full, after = sizes
    t.check(min(once, full) > first + (512 << 10), "Linux did not have it")
    t.check(before < first * 1.2, "the first time it kept too much")
    t.check(after < before * 1.05, "it did not give it back")
