# SPDX-License-Identifier: MIT
"""Power cuts on machines: each disk driver's writes are written down, and what
any flush and what lies between two may leave is judged; and the disk at
instants of a machine at work, as killing it would leave it. POWER_CUTS: how
many of these."""

import io
import lzma
import os
import shutil
import tarfile

import power
from cases_files import program_of_debian
from runner import BUILD, QEMU, ROOT, case

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


# Its disk's writes as Linux gives them away, by its own dm-log-writes, whose log
# is in its memory until the end.
LOGGED = """
for m in $(cat /test/modules); do
	case $m in brd.ko) o="rd_nr=1 rd_size=49152";; *) o=;; esac
	insmod /test/$m $o || exit
done
logwrites make /dev/isthmus0 /dev/ram0 && mkdir /d &&
	mount -t ext4 /dev/dm-0 /d || exit
promises /d | logwrites mark $1
until umount /d; do sleep 0.1; done
logwrites end
dd if=/dev/ram0 of=/mnt/host/log bs=1M && sync && echo done
"""


def modules(t, *names):
    """Debian's, unpacked, and `modules` with their order: {name in Linux: local
    file}."""
    folder = os.path.join(BUILD, "deps", "debian-kernel", "modules")
    files, order = {"test/modules": t.path("modules")}, []
    for path in t.tool([os.path.join(ROOT, "guest", "module-order"), folder,
                        *names]).split():
        opener = lzma.open if path.endswith(".xz") else open
        name = os.path.basename(path).removesuffix(".xz")
        with opener(path, "rb") as f, open(t.path(name), "wb") as to:
            shutil.copyfileobj(f, to)
        files["test/" + name] = t.path(name)
        order.append(name)
    with open(t.path("modules"), "w", encoding="ascii") as f:
        f.write("\n".join(order))
    return files


@case("power-dm-log", "what Linux's own dm-log-writes has written down of its "
      "disk keeps what fsync promised", only=QEMU, later=QEMU,
      why="a stock kernel is slow elsewhere, and shows the same")
def power_dm_log(t):
    kernel, initrd = (f"build/guest/{name}-debian{end}" for name, end in
                      (("vmlinuz", ""), ("initrd", ".cpio")))
    t.need(kernel, initrd)
    path, inner = new_volume(t, mib=96), new_volume(t, "linux-disk", 8)
    log, script = t.path("log"), t.path("logged")
    t.tool(["debugfs", "-w", "-R", f"write {inner} linux-disk", path])
    with open(script, "w", encoding="ascii") as f:
        f.write(LOGGED)
    overlay = t.overlay({
        **modules(t, "crc32c_generic", "ext4", "brd", "dm-log-writes"),
        "test/logged": script, "bin/promises": t.guest_program("promises"),
        "bin/logwrites": t.guest_program("logwrites")})
    result = t.exec("sh /test/logged 60", "--kernel", kernel, "--initrd",
                    initrd, "--disk", path, "--disk-volume", "--linux-disk",
                    "8", "--overlay", overlay, timeout=600)
    t.check(result.out.endswith("done\n"), result.out)
    try:
        power.recover(path)
        power.dump(path, "log", log)
        acks = power.marks(log)
        judged, count = power.judge_log(inner, log, acks, 400)
        last = power.Replay(inner, log)
        for _ in last.states(1, 1):
            pass
        # Linux's disk is what was written to it.
        end = power.dump(path, "linux-disk", t.path("end"))
    except power.Wrong as error:
        t.check(False, str(error))
    with open(end, "rb") as f:
        t.check(f.read() == last.disk, "Linux's disk is another than its log")
    t.check(acks[-1][1].get("log") == 60, f"promised: {acks[-1][1]}")
    t.note = f" ({judged} states of {count}, {len(acks)} marks)"


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
