# SPDX-License-Identifier: MIT
"""Distributions that the tool has made, each on a disk of the machine's: a
Debian with systemd, a small root from a tar archive, an OCI image."""

import fcntl
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile

from isthmus_lib import distro_command, mmdebstrap
from isthmus_lib.common import BUILD
from isthmus_lib.debian import release
from runner import BOCHS, QEMU, TOOL, Failed, Skipped, case

BUSYBOX = os.path.join(BUILD, "deps", "busybox", "busybox")
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME")
                     or os.path.expanduser("~/.cache"), "isthmus")
STORE = os.path.join(CACHE, "test-distros")
# Seconds that no end takes on a busy computer; a timeout is 90.
WAITS = 60
LOOKS = 120             # a second between two, until systemd has started all
ONLY = {"only": (*QEMU, *BOCHS), "why": "its disk is for these"}


def own_store(t):
    """This test's machines have a store of their own; where it is."""
    t.environ = {**os.environ, "XDG_DATA_HOME": t.path("data"),
                 "TMPDIR": t.folder}
    folder = t.path("data/isthmus/distros")
    os.makedirs(folder, exist_ok=True)
    return folder


def distro(t, *words):
    return t.tool([TOOL, "distro", *words], env=t.environ)


def made_debian(number, packages, init):
    """Where the one is that is made once for all; with a user anna, and these
    packages too."""
    reason = mmdebstrap.missing()
    if reason:
        raise Skipped(f"no Debian: {reason}")
    key = hashlib.sha256(" ".join((
        *distro_command.INITS[init], *distro_command.PACKAGES,
        *packages)).encode())
    name = f"debian-{number}-{key.hexdigest()[:8]}"
    made = os.path.join(STORE, "isthmus", "distros", name)
    os.makedirs(STORE, exist_ok=True)
    with open(os.path.join(STORE, "lock"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(made):
            done = subprocess.run(
                [TOOL, "distro", "build", "debian", "--release", number,
                 "--name", name, "--user", "anna", "--init", init,
                 *(("--packages", ",".join(packages)) if packages else ())],
                check=False, text=True,
                env={**os.environ, "XDG_DATA_HOME": STORE},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode:
                raise Skipped("no Debian: " + done.stdout.strip()[-300:])
    return made


def debian(t, number, packages=(), init="systemd", name="debian"):
    """A copy of that Debian, in the test's store."""
    t.tool(["cp", "-r", "--reflink=auto", "--sparse=always",
            made_debian(number, packages, init),
            os.path.join(own_store(t), name)])


def share_of(t):
    folder = t.path("share")
    os.makedirs(folder)
    with open(os.path.join(folder, "f"), "w", encoding="ascii") as f:
        f.write("the host's\n")
    os.chmod(os.path.join(folder, "f"), 0o666)
    return folder


def said_in(t, console, command, pattern):
    said = console.run("exec " + command)
    t.check(re.search(pattern, said), f"{command}: {said!r}")


def systemd_runs(console, command="exec"):
    """Waits until it has started all, and all is well; on a busy computer one
    is let in earlier, even before there is a bus. Not by its --wait: that is a
    signal which users only get once a service has asked for some, and the one
    that does, logind, may be the last to start."""
    for _ in range(LOOKS):
        said = console.run(command + " systemctl is-system-running || sleep 1")
        if re.search("^running$", said, re.M):
            return
    raise Failed(f"systemd: {said!r}")


def look(t, console):
    """What a user has in it: systemd, himself, rights, files, a shell."""
    systemd_runs(console)
    said_in(t, console, "id -un; sudo id -un; hostname; cat /proc/1/comm",
            r"^anna\nroot\ndebian-\S+\nsystemd\n\[exit status 0\]")
    said_in(t, console, "cat /mnt/host/f; echo anna was here > /mnt/host/f",
            r"^the host's\n\[exit status 0\]")
    t.check(console.run("cat f") == "anna was here\n", "the host's file")
    said_in(t, console, "systemctl --failed --no-legend", r"^\[exit status 0")
    said_in(t, console, "apt-get --version | head -n 1; sudo -n apt-get check",
            r"^apt \d[^\0]*\[exit status 0\]")
    console.send("linux console")
    console.expect(r"anna@debian-\S+:~\$ ")
    console.send("shopt -q login_shell && echo log''in $USER; exit")
    console.expect(r"login anna\r?\n[^\0]*ended with status 0")
    console.expect(r"isthmus> ")


def fat_image(t, folder):
    """A file system of a kind that is a module, with two more that it asks
    for itself."""
    path = os.path.join(folder, "fat.img")
    with open(path, "wb") as f:
        f.truncate(1 << 20)
    t.tool(["mkfs.fat", path])
    t.tool(["mcopy", "-i", path, os.path.join(folder, "f"), "::NAME"])


def modules(t, console):
    """They are there when they are used, without a word about them."""
    said_in(t, console, "lsmod | grep -E 'dummy|vfat'", r"^\[exit status 1\]")
    said_in(t, console, "sudo ip link add d0 type dummy && "
            "cat /sys/class/net/d0/operstate", r"^down\n\[exit status 0\]")
    said_in(t, console, "sudo mount -o loop,ro /mnt/host/fat.img /mnt/f && "
            "cat /mnt/f/NAME", r"^the host's\n\[exit status 0\]")


def journal(t):
    """The bytes of all journals in the image."""
    path = t.path("journal.tar")
    distro(t, "export", "debian", path)
    with tarfile.open(path) as tar:
        found = b"".join(tar.extractfile(m).read() for m in tar
                         if m.name.endswith(".journal"))
    os.unlink(path)
    return found


def end_took(t):
    """Seconds of Linux's end; nothing may have to be killed in it."""
    with open(t.path(f"linux-{t.runs}.log"), encoding="utf-8",
              errors="replace") as f:
        said = f.read()
    found = re.search(r"\[ *([\d.]+)\] isthmus-init: powering off\r?\n"
                      r"\[ *([\d.]+)\] reboot: Power down", said)
    t.check(found, f"Linux's end: {said[-600:]!r}")
    return float(found[2]) - float(found[1])


def debian_boots(t, number):
    try:
        debian(t, number)
        image = t.path("data/isthmus/distros/debian/disk.img")
        share = share_of(t)
        fat_image(t, share)
        console = t.console("--distro", "debian", "--share", share)
        console.ready()
        look(t, console)
        console.run("exec sudo mkdir /mnt/f")
        modules(t, console)
        # A file of the host's that is a disk holds its folder, else.
        console.run("exec sudo umount /mnt/f")
        console.run("exec sudo touch /root/kept")
        console.send("poweroff")
        console.expect("Linux powered off")
        t.check(console.finish() == 0, "the machine did not end well")
        took = end_took(t)
        t.note += f" (its end took {took:.1f} s)"
        t.check(took < WAITS, f"something waited at the end: {took} s")
        t.tool(["e2fsck", "-fn", image])
        t.check("clean" in t.tool(["dumpe2fs", "-h", image]), "not unmounted")
        said = journal(t)
        t.check(b"MESSAGE=Reached target" in said, "it has no journal")
        t.check(b"Failed unmounting" not in said and
                b"timed out" not in said, "something waited, or stayed")
    finally:
        shutil.rmtree(t.path("data"), ignore_errors=True)


@case("distro-debian", "a Debian by mmdebstrap: systemd, a user's commands and "
      "shell, the host's files, a clean end", only=QEMU,
      why="on Bochs distro-import shows the same way to a root")
def distro_debian(t):
    debian_boots(t, {c: n for n, c in mmdebstrap.RELEASES.items()}[release()])


@case("distro-debian-13", "the same of Debian 13", only=QEMU,
      why="as of Debian 12", later=QEMU)
def distro_debian_13(t):
    debian_boots(t, "13")


def small_root():
    """A root of busybox: its files, {name: content} and links, {name: to}."""
    with open(BUSYBOX, "rb") as f:
        files = {"bin/busybox": f.read()}
    files["etc/passwd"] = b"root:x:0:0::/root:/bin/sh\n" \
        b"web:x:33:33::/home/web:/bin/sh\n"
    files["etc/which"] = b"a root of busybox\n"
    return files, {f"bin/{n}": "busybox" for n in (
        "sh", "cat", "id", "ls", "touch", "sync", "stat", "hostname")}


def write_root(path, files, links):
    """A tar of them; one file belongs to another than root."""
    with tarfile.open(path, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            info.uid = 33 if name == "etc/which" else 0
            tar.addfile(info, io.BytesIO(data))
        for name, target in links.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info)


def oci_layout(t):
    """An image of two layers: the second one takes a file away."""
    folder = t.path("oci")
    os.makedirs(f"{folder}/blobs/sha256")

    def blob(data):
        digest = hashlib.sha256(data).hexdigest()
        with open(f"{folder}/blobs/sha256/{digest}", "wb") as f:
            f.write(data)
        return {"mediaType": "", "digest": f"sha256:{digest}",
                "size": len(data)}

    layers, diffs = [], []
    for files, links in (small_root(), ({"etc/.wh.which": b"",
                                          "etc/layer": b"two\n"}, {})):
        path = t.path("layer.tar.gz")
        write_root(path, files, links)
        with open(path, "rb") as f:
            layers.append(blob(f.read()))
        plain = subprocess.run(["gzip", "-dc", path], stdout=subprocess.PIPE,
                               check=True).stdout
        diffs.append("sha256:" + hashlib.sha256(plain).hexdigest())
    config = blob(json.dumps({
        "os": "linux", "architecture": "amd64", "config": {"User": "33"},
        "rootfs": {"type": "layers", "diff_ids": diffs}}).encode())
    manifest = blob(json.dumps({"config": config, "layers": layers}).encode())
    for name, value in (("oci-layout", {"imageLayoutVersion": "1.0.0"}),
                        ("index.json", {"manifests": [manifest]})):
        with open(f"{folder}/{name}", "w", encoding="ascii") as f:
            json.dump(value, f)
    return folder


@case("distro-image", "a boot disk with a distribution on it, and a volume "
      "beside that", later=BOCHS, **ONLY)
def distro_image(t):
    own_store(t)
    write_root(t.path("small.tar.gz"), *small_root())
    distro(t, "import", t.path("small.tar.gz"), "--size", "64")
    path = t.path("disk.img")
    distro(t, "import", t.path("small.tar.gz"), "other", "--size", "64")
    t.tool([TOOL, "image", path, "--distro", "small", "--distro", "other",
            "--user", "web", "--volume", "32", "--share", share_of(t)],
           env=t.environ)
    # What is done there stays there.
    shutil.rmtree(t.path("data"))
    t.check(os.stat(path).st_blocks * 512 < os.path.getsize(path) * 3 // 4,
            "it has no holes")
    console = t.console("--image", path)
    console.ready()
    said_in(t, console, "cat /etc/which; id -un; cat /mnt/host/f",
            r"^a root of busybox\nweb\nthe host's\n\[exit status 0\]")
    said_in(t, console, "--user root touch /kept && sync; ls /kept",
            r"^/kept\n\[exit status 0\]")
    said_in(t, console, "--distro other id -u; hostname",
            r"^0\nother\n\[exit status 0\]")
    said = console.run("exec --distro - distro list")
    t.check(re.search(r"^small +running +disk +default", said, re.M) and
            re.search(r"^other +running +disk *$", said, re.M), said)
    said = console.run("disk")
    t.check(re.search(r"p2: GPT part, .* 32 MiB, isthmus-volume; may be", said)
            and re.search(r"p3: GPT part, .*isthmus-distro; may be", said),
            f"disk said {said!r}")
    console.send("poweroff")
    console.expect("Linux powered off")
    t.check(console.finish() == 0, "the machine did not end well")


@case("distro-import", "roots of a tar and of an OCI image: who one is, what "
      "is kept and what is discarded, exported again", later=BOCHS, **ONLY)
def distro_import(t):
    own_store(t)
    write_root(t.path("small.tar.gz"), *small_root())
    distro(t, "import", t.path("small.tar.gz"), "--size", "64")
    distro(t, "import", oci_layout(t), "app", "--size", "64")
    # Of two lines: it does not fit into the manifest.
    result = t.exec("cat /etc/which; id -u\nstat -c %u /etc/which; "
                    "touch /lost; sync", "--distro", "small", "--discard")
    t.check(result.out == "a root of busybox\n0\n33\n", result.out)
    result = t.exec("touch /kept; ls /lost 2>&1", "--distro", status=1)
    t.check("No such file" in result.out, f"discarded: {result.out!r}")
    result = t.exec("id -un; cat /etc/layer; ls /etc", "--distro", "app",
                    "--user", "web")
    t.check(result.out.startswith("web\ntwo\n") and
            "which" not in result.out, result.out)
    image = t.path("data/isthmus/distros/small/disk.img")
    t.tool(["e2fsck", "-fn", image])
    distro(t, "export", "small", t.path("out.tar"))
    with tarfile.open(t.path("out.tar")) as tar:
        t.check("kept" in tar.getnames() and "lost" not in tar.getnames() and
                tar.getmember("etc/which").uid == 33, str(tar.getnames()))
