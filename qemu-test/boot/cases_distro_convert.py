# SPDX-License-Identifier: MIT
"""A distribution comes from an archive, is converted both ways, and goes."""

import io
import os
import re
import tarfile

from runner import BOCHS, PROMPT, QEMU, ROOT, case

# What Linux has of it with `isthmus boot --distro`.
TOOLS = {"bin/tar": "build/deps/tar/tar",
         "bin/mke2fs": "build/deps/mke2fs/mke2fs"}
BUSYBOX = "build/deps/busybox/busybox"
FILES = 1500
# All that the distribution can see of its entries.
LOOK = """
cd /data; find . | sort > /run/n
xargs stat -c '%n %f %u %g %Y %t %T' < /run/n > /run/s
find . ! -type d | sort | xargs stat -c '%n %h %s' >> /run/s
find . -type f | sort | xargs md5sum >> /run/s
grep -c . /run/s; md5sum < /run/s
"""


def add(archive, name, kind=tarfile.REGTYPE, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mtime = kind, len(data), 1700000000.25
    info.mode = 0o755
    for key, value in fields.items():
        setattr(info, key, value)
    archive.addfile(info, io.BytesIO(data))


def make_archive(path):
    """A root of busybox, and entries of every kind in /data."""
    with open(os.path.join(ROOT, BUSYBOX), "rb") as f:
        busybox = f.read()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in ("bin", "etc", "root", "data"):
            add(archive, name, tarfile.DIRTYPE)
        add(archive, "bin/busybox", data=busybox)
        for name in ("sh", "find", "sort", "xargs", "stat", "md5sum", "grep"):
            add(archive, f"bin/{name}", tarfile.SYMTYPE, linkname="busybox")
        add(archive, "etc/passwd", data=b"root:x:0:0::/root:/bin/sh\n")
        for i in range(FILES):
            where = f"data/{i % 20}"
            if i < 20:
                add(archive, where, tarfile.DIRTYPE, mode=0o2750, gid=i)
            elif i % 10 == 1:
                add(archive, f"{where}/{i}", tarfile.SYMTYPE, linkname="../x")
            elif i % 10 == 2 and i > 40:
                add(archive, f"{where}/{i}", tarfile.LNKTYPE,
                    linkname=f"data/{(i - 19) % 20}/{i - 19}")
            elif i % 50 == 4:
                add(archive, f"{where}/{i}", tarfile.CHRTYPE, devmajor=1,
                    devminor=i % 256, uid=i)
            else:
                add(archive, f"{where}/{i}", data=b"%d\n" % i * (i % 400),
                    uid=i, gid=7, mode=0o4711, mtime=i + .123456789,
                    pax_headers={"SCHILY.xattr.user.number": str(i)})


def look(t, console):
    """What is in it, by itself; and then it is stopped."""
    t.check("exit status 0" in console.run("distro start one"), "no start")
    said = console.run("exec --distro one sh /mnt/host/look")
    found = re.search(r"^(\d+)\r?\n([0-9a-f]{32}) ", said, re.M)
    t.check(found and int(found[1]) > 3 * FILES - 1000, f"inside: {said!r}")
    refused = console.run("distro convert one --to files")
    t.check("it runs" in refused and "status 1" in refused, f"{refused!r}")
    console.run("distro stop one")
    return found[2]


def convert(t, console, form, result, cuts):
    """Begun, left by ctrl-c as it says one of `cuts`, and gone on with."""
    for cut in cuts:
        console.send(f"distro convert one --to {form}")
        console.expect(cut + ": [0-9]+ of")
        console.process.stdin.write(b"\x03")
        console.process.stdin.flush()
        console.expect(re.escape(PROMPT))
    said = console.run(f"distro convert one --to {form}")
    t.check(result in said and "exit status 0" in said, f"{said[-600:]!r}")
    said = console.run("distro list")
    shown = "image" if form == "disk" else form
    t.check(re.search(f"one +stopped +{shown}", said), f"list: {said!r}")


@case("distro-convert", "a distribution of an archive, to an image, to files "
      "and back, with ctrl-c amid it; all the same, also by an archive",
      later=BOCHS + QEMU)
def distro_convert(t):
    t.need(*TOOLS.values(), BUSYBOX)
    share = t.path("share")
    os.makedirs(share)
    make_archive(os.path.join(share, "root.tar"))
    with open(os.path.join(share, "look"), "w", encoding="ascii") as f:
        f.write(LOOK)
    console = t.console("--share", share, "--overlay", t.overlay(
        {name: os.path.join(ROOT, path) for name, path in TOOLS.items()}))
    console.ready()
    said = console.run("distro import /mnt/host/root.tar one")
    t.check("exit status 0" in said, f"import: {said!r}")
    before = look(t, console)
    convert(t, console, "disk", "one is an image now", ("copied", "compared"))
    t.check(look(t, console) == before, "as an image it differs")
    convert(t, console, "files", "one is files now", ("copied",))
    t.check(look(t, console) == before, "as files again it differs")
    said = console.run("exec --distro - ls -a /mnt/host/distros/one")
    t.check(".new" not in said and "disk" not in said, f"left: {said!r}")
    said = console.run("distro export one /mnt/host/out.tar.gz")
    t.check("exit status 0" in said, f"export: {said!r}")
    t.check("--yes" in console.run("distro remove one"), "no question")
    console.run("distro remove one --yes")
    t.check(not re.search("one +stopped", console.run("distro list")),
            "it is there still")
    console.run("distro import /mnt/host/out.tar.gz one")
    t.check(look(t, console) == before, "through an archive it differs")
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
