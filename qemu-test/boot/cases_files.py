# SPDX-License-Identifier: MIT
"""Files through /mnt/host: large, many, and every operation."""

import gzip
import hashlib
import io
import os
import random
import struct
import tarfile

from isthmus_lib import volume
from runner import BOCHS, BUILD, Skipped, case

MIB = 1 << 20


def _bulk_data():
    """What guest/bulk.c writes: xorshift64."""
    x, words = 88172645463325252, []
    for _ in range(64 * MIB // 8):
        x ^= x << 13 & 0xffffffffffffffff
        x ^= x >> 7
        x ^= x << 17 & 0xffffffffffffffff
        words.append(x)
    return struct.pack(f"<{len(words)}Q", *words)


@case("file-64m", "64 MiB written to /mnt/host, read back, SHA-256 equal",
      later=BOCHS)
def file_64m(t):
    overlay = t.overlay({"bin/bulk": t.guest_program("bulk")})
    result = t.exec("bulk /mnt/host/a && rm /mnt/host/a",
                    "--overlay", overlay)
    data = _bulk_data()
    for name, want in (("a-mib", b"a" * MIB), ("first", data[:MIB]),
                       ("last", data[-MIB:])):
        t.check(f"{name} {hashlib.sha256(want).hexdigest()}\n" in result.out,
                f"the digest '{name}' is wrong: {result.out!r}")
    t.check(f"size {64 * MIB}, digests equal" in result.out, result.out)


def make_tree(path, sums, modes, count=2000):
    """A tar of small files in 40 folders, with links; what is in it."""
    rng = random.Random(20)
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar, \
            open(sums, "w", encoding="ascii") as sum_file, \
            open(modes, "w", encoding="ascii") as mode_file:
        for i in range(count):
            name = f"tree/d{i % 40}/f{i}"
            if i < 40:
                folder = tarfile.TarInfo(os.path.dirname(name))
                folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(folder)
            data = rng.randbytes(rng.choice((0, 1, 17, 500, 4096, 9000)))
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), rng.choice((0o644, 0o600, 0o755))
            info.mtime = 1700000000 + i
            tar.addfile(info, io.BytesIO(data))
            sum_file.write(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
            mode_file.write(f"{info.mode:o} {info.mtime} {name}\n")
        for i in range(50):
            link = tarfile.TarInfo(f"tree/l{i}")
            link.type, link.linkname = tarfile.SYMTYPE, f"d{i % 40}/f{i}"
            tar.addfile(link)


@case("tar-2000", "a tar of 2,000 files unpacked into /mnt/host, compared",
      later=BOCHS)
def tar_2000(t):
    tar, sums, modes = (t.path(n) for n in ("t.tar", "sums", "modes"))
    make_tree(tar, sums, modes)
    overlay = t.overlay({"test/t.tar": tar, "test/sums": sums,
                         "test/modes": modes})
    t.exec("set -e; cd /mnt/host; tar xf /test/t.tar; "
           "sha256sum -c /test/sums > /tmp/o || { grep -v OK /tmp/o; exit 1; };"
           "test $(find tree -type f | wc -l) = 2000; "
           "test $(find tree -type l | wc -l) = 50; "
           "cut -d' ' -f3 /test/modes | xargs stat -c '%a %Y %n' > /tmp/m; "
           "cmp /tmp/m /test/modes; "
           "for i in 0 7 49; do cmp tree/l$i tree/d$((i % 40))/f$i; done; "
           "rm -r tree; test -z \"$(ls | grep tree)\"",
           "--overlay", overlay, timeout=400)


@case("share", "--share: a folder's content, modes and links in Linux",
      later=BOCHS)
def share(t):
    folder = t.path("share")
    os.makedirs(os.path.join(folder, "sub"))
    rng = random.Random(3)
    with open(os.path.join(folder, "sub", "data"), "wb") as f:
        f.write(rng.randbytes(3_000_001))
    os.chmod(os.path.join(folder, "sub", "data"), 0o640)
    os.symlink("sub/data", os.path.join(folder, "link"))
    wanted = t.tool(["sha256sum", os.path.join(folder, "sub", "data")])[:64]
    result = t.exec("sha256sum /mnt/host/link; stat -c '%a %s' "
                    "/mnt/host/sub/data; readlink /mnt/host/link",
                    "--share", folder)
    t.check(result.out.split() == [wanted, "/mnt/host/link", "640", "3000001",
                                   "sub/data"], f"Linux saw {result.out!r}")


@case("file-operations", "every file operation, 10,000 names in a folder",
      later=BOCHS)
def file_operations(t):
    program = t.guest_program("fileops")
    overlay = t.overlay({"bin/fileops": program})
    result = t.exec("fileops /mnt/host", "--overlay", overlay, timeout=400)
    t.check("fileops: all passed" in result.out, result.out[-2000:])


@case("file-check", "random reads, writes, cuts, maps, links, locks, "
      "attributes, compared with a copy in memory", later=BOCHS)
def file_check(t):
    overlay = t.overlay({"bin/fs_check": t.guest_program("fs_check")})
    result = t.exec("fs_check /mnt/host", "--overlay", overlay, timeout=400)
    t.check(result.out == "fs_check: OK\n", result.out[-2000:])


def local_ext4(t):
    """An empty ext4 as the volume is one, for the overlay."""
    plain, packed = t.path("ext4"), t.path("ext4.gz")
    volume.make_ext4(plain, None, 16)
    with open(plain, "rb") as source, gzip.open(packed, "wb") as target:
        target.write(source.read())
    return packed


@case("as-ext4", "what is asked of /mnt/host is answered as by a local ext4: "
      "errors, times, rights, locks, watches, maps", later=BOCHS)
def as_ext4(t):
    programs = ("answers", "making", "rights", "sharing")
    overlay = t.overlay({"test/ext4.gz": local_ext4(t),
                         **{f"bin/{p}": t.guest_program(p) for p in programs}})
    result = t.exec(
        "cd /tmp; gunzip -c /test/ext4.gz > ext4; mkdir local; "
        "mount -o loop ext4 local || exit; "
        f"for p in {' '.join(programs)}; do "
        "timeout 60 $p local/$p > local.txt; "
        "timeout 60 $p /mnt/host/$p > host.txt; "
        "tail -n 1 local.txt; diff local.txt host.txt; done",
        "--overlay", overlay)
    t.check(result.out == "".join(f"{p}: done\n" for p in programs),
            f"- is the local ext4, + is /mnt/host:\n{result.out}")


def program_of_debian(name):
    """What build/deps has of one, for the overlay."""
    folder = os.path.realpath(os.path.join(BUILD, "deps", name))
    if not os.path.exists(folder):
        raise Skipped(f"build/deps/{name} could not be had")
    return {os.path.relpath(os.path.join(top, file), folder):
            os.path.join(top, file)
            for top, _, files in os.walk(folder) for file in files}


SQLITE = """\
cd /mnt/host
for mode in wal delete; do
	sqlite3 $mode.db "pragma journal_mode = $mode;
		create table t (who integer, n integer);"
	for who in 1 2 3; do
		seq 15 | sed "s/.*/insert into t values ($who, &);/" |
			sqlite3 -cmd ".timeout 60000" $mode.db &
	done
	wait
	sqlite3 $mode.db "select who, count(*), sum(n) from t group by who;
		pragma integrity_check; pragma journal_mode;"
	ls | grep -c $mode
done
"""


@case("sqlite", "SQLite on /mnt/host, in WAL mode too: three writers at once",
      later=BOCHS)
def sqlite(t):
    script = t.path("script")
    with open(script, "w", encoding="ascii") as f:
        f.write(SQLITE)
    files = {"test/script": script, **program_of_debian("sqlite")}
    result = t.exec("sh /test/script", "--overlay", t.overlay(files),
                    timeout=400)
    each = "".join(f"{who}|15|120\n" for who in (1, 2, 3)) + "ok\n"
    t.check(result.out == f"wal\n{each}wal\n1\ndelete\n{each}delete\n1\n",
            result.out)
