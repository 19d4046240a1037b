# SPDX-License-Identifier: MIT
"""Power cuts on machines: each disk driver's writes are written down, and what
any flush and what lies between two may leave is judged; and the disk at
instants of a machine at work, as killing it would leave it. POWER_CUTS: how
many of these."""

import io
import os
import shutil
import tarfile

import power
from cases_files import program_of_debian
from runner import QEMU, case

MIB = 16
ALL = "TEST_ALL" in os.environ
CUTS = int(os.environ.get("POWER_CUTS", "200"))


def new_volume(t, name="volume.img", mib=MIB, block_size=1024):
    path = t.path(name)
    t.tool(["mke2fs", "-q", "-F", "-t", "ext4", "-b", str(block_size), path,
            f"{mib}M"])
    return path


def logged(t, path, *options, turns, most, run="promises /mnt/host",
           look=power.look):
    """Linux replaces, appends and unpacks while QEMU writes down what reaches
    the disk."""
    base, log = t.path("base"), t.path("log")
    shutil.copyfile(path, base)
    overlay = t.overlay({"bin/promises": t.guest_program("promises")})
    console = t.console("--disk", path, "--disk-volume", "--disk-log", log,
                        "--overlay", overlay, *options, timeout=300)
    console.ready()
    console.send("exec " + run)
    acks, last = [], 0
    while last < turns:
        last = int(console.expect(r"\nlog-(\d+)\r?\n")[1])
        seen = power.said(console.seen[:console.at])
        # What was promised before this is in the log by now.
        acks.append((os.path.getsize(log), seen))
    console.close()
    try:
        judged, count = power.judge_log(base, log, acks, most, look=look)
    except power.Wrong as error:
        t.check(False, str(error))
    t.check(count > turns, f"only {count} states of {last} turns")
    t.note = f" ({judged} states of {count}, {last} turns)"
    for name in (path, base, log):
        os.unlink(name)


@case("power-log", "what virtio's flushes allow a power cut to leave keeps "
      "all promises", only=QEMU, why="it takes QEMU's blklogwrites")
def power_log(t):
    logged(t, new_volume(t), turns=100 if ALL else 24,
           most=600 if ALL else 60)


@case("power-log-nvme", "what NVMe's do, in blocks of 4 KiB, likewise",
      only=QEMU, why="it takes QEMU's blklogwrites", later=QEMU)
def power_log_nvme(t):
    logged(t, new_volume(t, block_size=4096), "--disk-bus", "nvme", turns=100,
           most=400)


@case("power-log-ahci", "what SATA's do likewise", only=QEMU,
      why="it takes QEMU's blklogwrites", later=QEMU)
def power_log_ahci(t):
    logged(t, new_volume(t), "--disk-bus", "ahci", turns=100, most=400)


@case("power-log-ide", "what IDE's do likewise", only=QEMU,
      why="it takes QEMU's blklogwrites", later=QEMU)
def power_log_ide(t):
    logged(t, new_volume(t), "--disk-bus", "ide", "--machine", "pc",
           turns=100, most=400)


def look_into(image, promised):
    """At the disk of Linux's that is a file of the volume."""
    power.recover(image)
    inner = power.dump(image, "linux-disk", image + ".inner")
    try:
        power.look(inner, promised)
    finally:
        os.unlink(inner)


@case("power-linux-disk", "what fsync promised on a disk of Linux's in a file "
      "of the volume is there, too", only=QEMU,
      why="it takes QEMU's blklogwrites", later=QEMU)
def power_linux_disk(t):
    path, inner = new_volume(t, mib=24), new_volume(t, "linux-disk", 8)
    t.tool(["debugfs", "-w", "-R", f"write {inner} linux-disk", path])
    logged(t, path, "--linux-disk", "8", turns=60, most=400, look=look_into,
           run="mkdir /d; mount -t ext4 /dev/isthmus0 /d && promises /d")


TEXTS = {f"tree/d{i % 6}/f{i}": (f"the file {i}\n", i * 577 % 9000)
         for i in range(90)}
NUMBERS = "".join(f"{n}\n" for n in range(1, 2001))
GIT_TEXTS = {name: (NUMBERS, len(NUMBERS)) for name in ("a", "b", "d/c")}

# SQLite's "extra": in mode "delete" the journal's end is lasting, too, before a
# commit is done; "full" lets the last one be undone.
WORK = """cd /mnt/host
untar() {
	n=0
	while :; do
		n=$((n + 1))
		mkdir t$n && tar xf /test/t.tar -C t$n && sync || return
		echo untar-$n
		[ $n = 1 ] || rm -r t$((n - 1))
	done
}
clone() {
	n=0
	ln -s git /bin/git-upload-pack
	git config --global user.name a
	git config --global user.email a@b
	git init -q --template= src && mkdir src/d || return
	for i in 500 1000 2000; do
		for name in a b d/c; do
			seq $i >src/$name
		done
		git -C src add . && git -C src commit -qm $i || return
	done
	while :; do
		n=$((n + 1))
		git clone -q --template= src c$n && sync || return
		echo clone-$n
		[ $n = 1 ] || rm -r c$((n - 1))
	done
}
rows() {
	n=0
	sqlite3 $1.db "pragma journal_mode = $1;
		create table t (n integer primary key);"
	sync
	while :; do
		n=$((n + 1))
		sqlite3 $1.db "pragma synchronous = extra;
			insert into t values ($n);" || return
		echo $1-$n
	done
}
mkdir p
(untar; echo ended-1) &
(clone; echo ended-2) &
(rows wal; echo ended-3) &
(rows delete; echo ended-4) &
(promises p; echo ended-5) &
wait
"""


def look_at_work(image, promised):
    files = power.recover(image)
    power.check(power.below(files, "p"), promised)
    power.check_copies(files, "t", promised.get("untar", 0), TEXTS, 1)
    power.check_copies(files, "c", promised.get("clone", 0),
                       GIT_TEXTS, 1)
    for name in ("wal", "delete"):
        power.check_rows(image, files, name + ".db", promised.get(name, 0))


@case("power-instants", "a machine that unpacks, clones and commits, stopped "
      "at instants: its disk keeps all promises", only=QEMU,
      why="it stops QEMU", later=QEMU)
def power_instants(t):
    path, tar = new_volume(t, mib=48), t.path("t.tar")
    with tarfile.open(tar, "w") as f:
        for name, (text, size) in TEXTS.items():
            data = (text * (size // len(text) + 1))[:size].encode()
            info = tarfile.TarInfo(name)
            info.size = len(data)
            f.addfile(info, io.BytesIO(data))
    script = t.path("work")
    with open(script, "w", encoding="ascii") as f:
        f.write(WORK)
    overlay = t.overlay({
        "bin/promises": t.guest_program("promises"), "test/t.tar": tar,
        "test/work": script, **program_of_debian("sqlite"),
        **program_of_debian("git")})
    console = t.console("--disk", path, "--disk-volume", "--overlay", overlay,
                        timeout=1200)
    console.ready()
    console.send("exec sh /test/work")
    for what in ("untar", "clone", "wal", "delete", "log"):
        found = console.expect(rf"\n({what}|ended)-\d+\r?\n")
        t.check(found[1] == what, f"it ended: {console.seen[-2000:]!r}")
        console.at = 0
    try:
        judged = power.judge_instants(console, path, CUTS, 1, look_at_work)
    except power.Wrong as error:
        t.check(False, str(error))
    seen = power.said(console.seen)
    console.close()
    t.check("ended" not in seen, f"it ended: {console.seen[-2000:]!r}")
    t.note = f" ({judged} instants; at the last {seen})"
