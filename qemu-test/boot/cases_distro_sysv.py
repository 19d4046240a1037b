# SPDX-License-Identifier: MIT
"""A Debian with System V's init, and what people do first in one: a package,
a repository, an archive. No instruction of it is emulated twice on QEMU; on
Bochs all is many times slower, and VT-x."""

import os
import re
import shutil

from isthmus_lib import mmdebstrap
from isthmus_lib.debian import release
from runner import BOCHS, QEMU, case
from cases_distro import WAITS, debian, end_took

FILES = 2000
CONTROL = """Package: isthmus-greeting
Version: 1.2
Architecture: all
Maintainer: nobody <nobody@localhost>
Depends: libc6, perl-base
Description: what a package has
 A file, a configuration file, and words for when it comes and goes.
"""
WORK = """
cd /root
echo 1: $(cat /proc/1/comm), $(tr '\\0 ' '\\n' < /proc/1/cmdline | head -n 1)
DEBIAN_FRONTEND=noninteractive apt-get install -y /mnt/host/greeting.deb
greeting
dpkg-query -W isthmus-greeting
git config --global user.email a@b.c; git config --global user.name a
git init -q -b main one && cd one
for i in $(seq 100); do echo $i | sha256sum > $i; done
git add . && git commit -q -m first; echo 5 > 5; git commit -q -a -m second
cd ..; git clone -q --no-local one two && git -C two fsck --full --strict
git -C two log --oneline | wc -l; cat two/5
diff -r -x .git one two && echo same
mkdir many && cd many
for i in $(seq %d); do echo $i $i $i > $i; done
tar cf ../many.tar . && mkdir ../back && tar xf ../many.tar -C ../back
cd ..; diff -r many back && ls back | wc -l
echo done
""" % FILES


def greeting(t, folder):
    """A package, made here."""
    root = t.path("package")
    for name, text, mode in (
            ("DEBIAN/control", CONTROL, 0o644),
            ("DEBIAN/conffiles", "/etc/greeting\n", 0o644),
            ("DEBIAN/postinst", "#!/bin/sh\nset -e\necho configured $1\n",
             0o755),
            ("etc/greeting", "hello of a package\n", 0o644),
            ("usr/bin/greeting", "#!/bin/sh\nexec cat /etc/greeting\n",
             0o755)):
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(path, mode)
        os.chmod(os.path.dirname(path), 0o755)
    os.chmod(root, 0o755)
    t.tool(["dpkg-deb", "--root-owner-group", "-Zxz", "--build", root,
            os.path.join(folder, "greeting.deb")])


def work(t):
    """All of it, and a clean end."""
    debian(t, {c: n for n, c in mmdebstrap.RELEASES.items()}[release()],
           ("git",), "sysv")
    share = t.path("share")
    os.makedirs(share)
    greeting(t, share)
    with open(os.path.join(share, "work"), "w", encoding="ascii") as f:
        f.write(WORK)
    console = t.console("--distro", "debian", "--user", "root", "--share",
                        share, timeout=1800)
    console.ready()
    said = console.run("exec sh /mnt/host/work 2>&1")
    for pattern in (
            r"^1: init, init", r"^configured configure$",
            r"^hello of a package$", r"^isthmus-greeting\t1\.2$",
            r"\n2\n5\nsame\n", rf"\n{FILES}\ndone\n\[exit status 0\]"):
        t.check(re.search(pattern, said, re.M), f"no {pattern}: {said!r}")
    console.send("linux console")
    console.expect(r"root@debian-\S+:~# ")
    console.send("echo $((6 * 7)) $0; exit")
    console.expect(r"\b42 -bash\r?\n[^\0]*ended with status 0")
    console.expect(r"isthmus> ")
    console.send("poweroff")
    console.expect("Linux powered off")
    t.check(console.finish() == 0, "the machine did not end well")
    took = end_took(t)
    t.note += f" (its end took {took:.1f} s)"
    t.check(took < WAITS, f"something waited at the end: {took} s")
    image = t.path("data/isthmus/distros/debian/disk.img")
    t.tool(["e2fsck", "-fn", image])
    t.check("clean" in t.tool(["dumpe2fs", "-h", image]), "not unmounted")


@case("distro-sysv", "a Debian with System V's init to a shell: apt-get "
      "install of a file, git clone, tar of 2,000 files, a clean end",
      only=(*QEMU, "bochs"), why="its disk is for these", later=QEMU + BOCHS)
def distro_sysv(t):
    try:
        work(t)
    finally:
        shutil.rmtree(t.path("data"), ignore_errors=True)
