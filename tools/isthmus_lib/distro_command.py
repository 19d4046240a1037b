# SPDX-License-Identifier: MIT
"""`isthmus distro`: makes distributions, takes them in, gives them out, lists
and removes them. docs/distributions.md."""

import argparse
import os
import re
import stat
import sys
import time

from isthmus_lib import (arguments, debian, distros, ext4, ext4_make,
                         mmdebstrap, oci, roottree, scratch, tar_out, unpack)
from isthmus_lib.common import Failure, say

MIB = 1 << 20
SIZE_DEFAULT = 8192             # MiB: room, of which holes take none
SIZE_LEAST = 64
CYLINDER = 16 * 63 * 512        # Bochs likes whole ones; blocks divide eight
LARGE = 16 * MIB                # of what it is said that it is being read
CONTENT_MOST = 64 << 30         # of an archive, if nobody has said a size
# What Debian has besides what every Debian has ("required" and apt): an init,
# names and certificates of the Internet, and what people type first.
INITS = {"systemd": ("systemd-sysv", "dbus"), "sysv": ("sysvinit-core",),
         "none": ()}
PACKAGES = ("netbase", "tzdata", "ca-certificates", "iproute2",
            "iputils-ping", "procps", "kmod", "sudo", "less", "nano",
            "bash-completion")
# They would wait for a terminal that is not there: shells come by the agent.
NO_SERVICES = ("serial-getty@ttyS0", "console-getty", "getty@tty1")
HELP = """\
Distributions are root file systems for Linux, each on a disk of its own,
which is kept on this computer and lasts. `isthmus boot --distro NAME` boots a
machine in which commands and shells are in that distribution.
"""
EXAMPLES = """\
examples:
  isthmus distro build debian --user anna   a Debian, with a user of that name
  isthmus boot --distro debian              a machine with it
  isthmus boot --distro debian --exec 'apt list --installed'
  isthmus distro import alpine-minirootfs.tar.gz alpine
  isthmus distro import IMAGE-FOLDER app    an OCI image layout (see `skopeo
                                            copy .. oci:FOLDER`)
  isthmus distro export debian debian.tar
Where they are: %s
"""


def add_parser(commands):
    main = commands.add_parser(
        "distro", help="distributions: make, import, export, list, remove",
        description=HELP,
        epilog=EXAMPLES % distros.folder().replace("%", "%%"),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = main.add_subparsers(dest="verb", required=True, metavar="COMMAND")
    build = verbs.add_parser(
        "build", help="make one of Debian's packages", description="Makes a "
        "Debian from the packages of this machine's mirror; what "
        "was fetched once is kept, and not fetched again. It takes mmdebstrap,"
        " and root or user namespaces.")
    build.add_argument("what", metavar="debian", choices=("debian",))
    build.add_argument("--name", type=arguments.word, default="debian",
                       help="what it is called (default debian)")
    build.add_argument("--release", choices=sorted(mmdebstrap.RELEASES),
                       help="of Debian (default: this machine's)")
    build.add_argument("--packages", metavar="LIST", default="",
                       help="packages besides " + ", ".join(PACKAGES)
                       + " and its init: names with commas between them")
    build.add_argument("--init", choices=INITS, default="systemd",
                       help="what its process 1 is: systemd (default), System "
                       "V's init, or one of ours that starts nothing")
    take = verbs.add_parser(
        "import", help="make one of a tar archive or an OCI image layout",
        description="Takes a root file system in: a tar archive, plain or "
        "compressed by gzip, bzip2, xz or zstd, or a folder with an OCI image "
        "layout, whose digests are checked. It takes no root.")
    take.add_argument("source", metavar="TAR|FOLDER", type=arguments.word)
    take.add_argument("name", metavar="NAME", nargs="?", type=arguments.word,
                      help="what it is called (default: as the file)")
    take.add_argument("--tag", type=arguments.word, help="which image of an "
                      "OCI layout that has several")
    take.add_argument("--devices", action="store_true", help="take device "
                      "nodes of any kind, and not only null, tty and the like")
    for verb in build, take:
        verb.add_argument("--size", metavar="MIB",
                          type=arguments.number(SIZE_LEAST, 1 << 23),
                          help="of its disk, a sparse file (default: "
                          f"{SIZE_DEFAULT}, or twice what is in it)")
        verb.add_argument("--user", type=arguments.word, help="who one is in "
                          "it" + (", an account that is made; it may use sudo"
                                  if verb is build else " (default: what it "
                                  "says itself, else root)"))
    out = verbs.add_parser("export", help="write one as a tar archive")
    out.add_argument("name", metavar="NAME", type=arguments.word)
    out.add_argument("target", metavar="TAR", type=arguments.word,
                     help="compressed if it ends in .gz, .bz2 or .xz")
    verbs.add_parser("list", help="say what there is; * is the default one")
    gone = verbs.add_parser("remove",
                            help="remove one, with all that is in it")
    gone.add_argument("name", metavar="NAME", type=arguments.word)
    preset = verbs.add_parser("default", help="say, or set, which one "
                              "`isthmus boot --distro` means")
    preset.add_argument("name", metavar="NAME", nargs="?",
                        type=arguments.word)


class Progress:
    """How far a long work is: on a terminal in one line that changes, else a
    line when it begins."""

    def __init__(self, what):
        self.what = what
        self.next = 0.0
        self.live = sys.stderr.isatty()
        if not self.live:
            say(what)

    def step(self, done, of):
        now = time.monotonic()
        if self.live and (now >= self.next or done == of):
            self.next = now + 0.2
            share = 100 * done // of if of else 100
            print(f"\r{self.what}: {share} %\x1b[K", end="", file=sys.stderr,
                  flush=True)

    def end(self):
        if self.live:
            print(f"\r{self.what}: done\x1b[K", file=sys.stderr, flush=True)


def _image(tree, folder, name, mib):
    """Writes the disk, and what Linux calls it."""
    content, files = tree.content()
    need = content + files * 1024 + 80 * MIB    # inodes, folders, a journal
    size = mib * MIB if mib else max(SIZE_DEFAULT * MIB, 2 * need)
    if mib and content + files * 512 > size:
        raise Failure(f"--size {mib}: {files} files with {content >> 20} MiB "
                      f"do not fit; {need // MIB} is enough", 2)
    progress = Progress(f"writing the disk, {content >> 20} MiB")
    ext4_make.make(os.path.join(folder, distros.IMAGE), tree,
                   -(-size // CYLINDER) * CYLINDER, name, progress.step)
    progress.end()


def _done(name):
    say(f"{name} is there; `isthmus boot --distro {name}` boots a machine "
        "with it")
    return 0


def _adopt_hooks(user):
    """Shell lines that make an account in a new root. It has no password, so
    sudo asks for none: who is at the console could be root anyway."""
    if user is None or user == "root":
        return []
    return [f'chroot "$1" useradd -m -s /bin/bash -G sudo {user}',
            f'echo "{user} ALL=(ALL:ALL) NOPASSWD: ALL" '
            '> "$1"/etc/sudoers.d/isthmus',
            'chmod 440 "$1"/etc/sudoers.d/isthmus']


def _fit_debian(tree, name, init):
    """What a new root is to know of where it is, and not of the machine it was
    made on. An empty machine-id is filled in at the first boot; were there
    none, systemd would also enable all that it could."""
    tree.put_file("etc/hostname", name.encode() + b"\n")
    tree.put_file("etc/hosts", b"127.0.0.1 localhost\n127.0.1.1 "
                  + name.encode() + b"\n::1 localhost ip6-localhost\n")
    tree.put_file("etc/machine-id", b"", 0o444)
    for parts, name in ((["etc"], "resolv.conf"),
                        (["etc", "dpkg", "dpkg.cfg.d"], "99mmdebstrap"),
                        (["etc", "apt", "apt.conf.d"], "99mmdebstrap")):
        tree.find(parts).children.pop(name, None)
    for parts in ["var", "cache", "apt", "archives"], ["var", "lib", "apt",
                                                       "lists"]:
        node = tree.find(parts)     # the cache's own folders were laid over it
        node.mode, node.uid, node.gid = stat.S_IFDIR | 0o755, 0, 0
    for name in NO_SERVICES if init == "systemd" else ():
        tree.put_link(f"etc/systemd/system/{name}.service", "/dev/null")
    table = tree.read("etc/inittab")
    if table:
        tree.put_file("etc/inittab", re.sub(rb"(?m)^(?=[^#\n]*getty )", b"#",
                                            table))


def build(args):
    distros.check_name(args.name)
    if args.user:
        distros.check_user(args.user)
    more = [p for p in args.packages.split(",") if p]
    for package in more:
        if not mmdebstrap.PACKAGE.fullmatch(package):
            raise Failure(f"--packages: '{package}' is no package's name", 2)
    packages = list(dict.fromkeys([*INITS[args.init], *PACKAGES, *more]))
    codename = mmdebstrap.RELEASES[args.release] if args.release \
        else debian.release()
    number = {c: n for n, c in mmdebstrap.RELEASES.items()}[codename]
    with distros.new(args.name) as folder, scratch.large() as work:
        say(f"making a Debian {number}: a minute or more, and the first time "
            "as long as its packages take")
        tar = os.path.join(work.path, "root.tar")
        os.chmod(work.path, 0o755)
        mmdebstrap.make_tar(codename, packages, _adopt_hooks(args.user), tar)
        with roottree.Tree(CONTENT_MOST) as tree:
            tree.add(tar)
            _fit_debian(tree, args.name, args.init)
            settings = {"user": args.user or "root",
                        "init": "/sbin/init" if INITS[args.init] else "none"}
            _settle(tree, folder, args, settings, args.name,
                    release=f"Debian {number}", packages=packages,
                    source="packages of " + mmdebstrap.mirrors()[0])
    return _done(args.name)


def _settle(tree, folder, args, settings, name, **more):
    """The last steps, which all ways of making one have in common."""
    tree.put_file(distros.CONFIG, distros.write_config(settings).encode())
    _image(tree, folder, name, args.size)
    distros.write_settings(folder, **settings, **more)


def name_of(source):
    """What a distribution of a file or folder of that name is called."""
    base = os.path.basename(os.path.abspath(source)).lower()
    base = re.sub(r"\.(tar|tgz|tbz2?|txz)?(\.(gz|bz2|xz|zst))?$", "", base)
    base = re.sub(r"[^a-z0-9.-]+", "-", base).lstrip("-.0123456789")[:24]
    if not base:
        raise Failure(f"{source}: what shall the distribution be called? "
                      "`isthmus distro import FILE NAME`", 2)
    return base


def _check_root(tree, source):
    """Refuses what is an archive of something else, as people have them."""
    there = set(tree.root.children)
    if "oci-layout" in there or "manifest.json" in there:
        raise Failure(f"{source}: this is an image in an archive, and no root "
                      "file system; unpack it into a folder with an OCI "
                      "layout, and import that", 2)
    if not there & {"bin", "sbin", "usr", "etc", "init"}:
        raise Failure(f"{source}: no root file system is in it; its first "
                      "names are " + ", ".join(sorted(there)[:6] or ["none"]),
                      2)


def _import_tar(args, tree, work, most):
    arguments.check_file("import", args.source)
    if args.tag:
        raise Failure("--tag is for an OCI image layout", 2)
    if os.path.getsize(args.source) >= LARGE:
        say(f"reading {args.source}")
    tree.add(unpack.plain(args.source, work, most), name=args.source)
    _check_root(tree, args.source)
    return {}


def _import_oci(args, tree, work, most):
    image = oci.Image(args.source, args.tag)
    image.fill(tree, work, most, lambda n, of: say(
        f"reading {args.source}: layer {n + 1} of {of}"))
    return image.settings()


def _release(tree):
    """What a root says that it is."""
    for name in ("etc/os-release", "usr/lib/os-release"):
        text = (tree.read(name) or b"").decode("utf-8", "replace")
        found = re.search(r'^PRETTY_NAME="?([^"\n]{1,80})', text, re.M)
        if found:
            return found[1]
    return "unknown"


def _user(tree, wanted, said):
    """Who one is: what was asked for must be there."""
    text = (tree.read("etc/passwd") or b"").decode("utf-8", "replace")
    ids = {}
    for line in text.splitlines():
        words = line.split(":")
        if len(words) > 2:
            ids.setdefault(words[0], words[2])
    if wanted:
        if wanted not in ids:
            raise Failure(f"--user {wanted}: nobody is called so in its "
                          "/etc/passwd", 2)
        return wanted
    said = said.partition(":")[0]
    if said.isdigit():              # an image may name the number
        said = next((n for n, number in ids.items() if number == said), said)
    return said or "root"


def take_in(args):
    name = args.name or name_of(args.source)
    distros.check_name(name)
    most = args.size * MIB if args.size else CONTENT_MOST
    if not os.path.exists(args.source):
        arguments.refuse("import", args.source, "No such file or folder")
    with distros.new(name) as folder, scratch.large() as work, \
            roottree.Tree(most, args.devices) as tree:
        way = _import_oci if oci.is_layout(args.source) else _import_tar
        image = way(args, tree, work.path, most)
        if tree.left_out:
            say(f"{tree.left_out} extended attributes that Linux does not "
                "have are left out")
        old = distros.read_config((tree.read(distros.CONFIG) or b"").decode(
            "utf-8", "replace"))
        settings = {"user": _user(tree, args.user, old.get("user")
                                  or image.pop("user", "")),
                    "init": old.get("init", "")}
        _settle(tree, folder, args, settings, name, release=_release(tree),
                source=os.path.abspath(args.source), **image)
    return _done(name)


def give_out(args):
    tar_out.check(args.target)
    with distros.find(args.name).used() as distribution:
        ext4.replay(distribution.image, args.name)
        progress = Progress(f"writing {args.target}")
        used = os.stat(distribution.image).st_blocks * 512
        with scratch.result(args.target) as out:
            left_out = tar_out.write(
                distribution.image, out, args.target,
                lambda done: progress.step(min(done, used), used))
        progress.end()
    if left_out:
        say(f"{left_out} sockets are left out, which tar does not have")
    return 0


def show(_):
    preset = distros.default()
    for name in distros.names():
        distribution = distros.Distribution(name)
        settings = distribution.settings()
        info = os.stat(distribution.image)
        print(f"{'*' if name == preset else ' '} {name:<24} "
              f"{info.st_blocks // 2048:>6} of {info.st_size >> 20} MiB  "
              f"user {settings.get('user', '?')}  {settings.get('release')}  "
              f"{settings.get('created', '')[:10]}")
    if not distros.names():
        say("there are none; `isthmus distro build debian` makes one")
    return 0


def remove(args):
    distros.remove(args.name)
    say(f"{args.name} is removed" + ("" if distros.default() else
                                     "; there is no default distribution now"))
    return 0


def preset(args):
    if args.name:
        distros.set_default(distros.find(args.name).name)
    else:
        print(distros.find().name)
    return 0


def command(args):
    os.umask(0o077)             # what is in a root is its users'
    return {"build": build, "import": take_in, "export": give_out,
            "list": show, "remove": remove, "default": preset}[args.verb](args)
