# SPDX-License-Identifier: MIT
"""Debian roots by mmdebstrap: where packages come from, and a root as a tar
file, made by root or by another user in namespaces of his own. Packages and
lists of packages are kept in the cache, so that the next root of that release
needs nothing from the network."""

import fcntl
import glob
import os
import re
import shlex
import shutil
import signal
import subprocess
import time

from isthmus_lib import debian
from isthmus_lib.common import Failure, say

RELEASES = {"12": "bookworm", "13": "trixie"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
LISTS_LAST = 86400              # seconds for which lists are not asked again
# As root it mounts this machine's /dev/shm, /sys and more into the root that
# it makes. Were it killed, and these left in a folder that somebody removes, they
# would be emptied. So they are in a namespace that ends with it; for another
# user it makes one itself.
CONTAINED = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
ERRORS = re.compile(r"^(?:E|Err\S*|error|W): *(.*)", re.M)


def mirrors():
    """(the archive, its security updates) as this machine has them."""
    found = {}
    name = debian.release()
    lines, stanzas = debian.machine_sources()
    entries = re.findall(r"^deb (?:\[.*?\] *)?(\S+) +(\S+)", lines, re.M)
    for stanza in stanzas.split("\n\n"):
        uris = re.search(r"^URIs: *(\S+)", stanza, re.M | re.I)
        suites = re.search(r"^Suites: *(.*)", stanza, re.M | re.I)
        if uris and suites:
            entries += [(uris[1], suite) for suite in suites[1].split()]
    for uri, suite in entries:
        if uri.startswith("http"):
            found.setdefault(suite, uri)
    for suite in (name, f"{name}-security"):
        if suite not in found:
            raise Failure(f"no source of '{suite}' by http in "
                          f"{debian.ETC}/apt: the root's packages come from "
                          "the same mirror")
    return found[name], found[f"{name}-security"]


def sources(codename):
    """Lines of a sources.list for a root of that release."""
    archive, security = mirrors()
    return [f"deb [signed-by={KEYRING}] {uri} {suite} main"
            for uri, suite in ((archive, codename),
                               (archive, f"{codename}-updates"),
                               (security, f"{codename}-security"))]


def apt_settings():
    """mmdebstrap's options for what this machine's apt is told about getting
    files: proxies above all."""
    done = subprocess.run(["apt-config", "dump"], stdout=subprocess.PIPE,
                          check=False, text=True)
    return ["--aptopt=" + line for line in re.findall(
        r'^(Acquire::(?:https?::|Check-|Retries)[\w:-]* ".*";)$',
        done.stdout, re.M)]


def reason(said):
    """The first error in what mmdebstrap said, or the end of that."""
    return (ERRORS.findall(said) or [said.strip()[-200:]])[0]


def missing():
    """Why no root can be made here, or None."""
    if not shutil.which("mmdebstrap") or not os.path.exists(KEYRING):
        return "mmdebstrap or debian-archive-keyring is not there " \
            "(run tools/setup roots as root)"
    if os.geteuid() and not shutil.which("newuidmap"):
        return "it takes root, or for another user newuidmap (package " \
            "uidmap) and numbers of his own in /etc/subuid and /etc/subgid"
    return None


class Cache:
    """Packages of a release, and their lists; one uses it at a time."""

    def __init__(self, codename):
        base = os.environ.get("XDG_CACHE_HOME") or \
            os.path.expanduser("~/.cache")
        self.folder = os.path.join(base, "isthmus", f"distro-{codename}")
        self.packages = os.path.join(self.folder, "packages")
        self.lists = os.path.join(self.folder, "lists")
        self.lock = None

    def __enter__(self):
        for folder in (self.packages, self.lists):
            os.makedirs(folder, exist_ok=True)
        # pylint: disable=consider-using-with
        self.lock = open(os.path.join(self.folder, "lock"), "wb")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another isthmus, which is fetching packages")
            fcntl.flock(self.lock, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        self.lock.close()

    def read(self):
        """When the lists were read, or None."""
        found = glob.glob(f"{glob.escape(self.lists)}/*InRelease")
        return min((os.stat(f).st_ctime for f in found), default=None)

    def hooks(self, update):
        """What brings packages and lists in, and out again."""
        def words(*w):
            return shlex.join(w)
        into = ["/var/cache/apt/archives", self.packages]
        lists = ["/var/lib/apt/lists", self.lists]
        line = ["--skip=essential/unlink",
                '--setup-hook=mkdir -p "$1"/var/cache/apt/archives '
                '"$1"/var/lib/apt/lists',
                "--setup-hook=" + words("sync-in", into[1], into[0])]
        if not update:
            line += ["--skip=update",
                     "--setup-hook=" + words("sync-in", lists[1], lists[0])]
        line.append("--customize-hook=" + words("sync-out", *into))
        if update:
            line.append("--customize-hook=" + words("sync-out", *lists))
        return line


def _mounts(below="/"):
    """Where something is mounted, there or below; the last one first."""
    with open("/proc/self/mountinfo", encoding="utf-8",
              errors="surrogateescape") as f:
        points = [line.split()[4] for line in f]
    return [p for p in reversed(points) if f"{p}/".startswith(
        below.rstrip("/") + "/")]


def contained():
    """The words before a command for namespaces of its own. In a chroot, whose
    root is no mount, nothing can be said of what others see of its mounts."""
    private = "private" if "/" in _mounts() else "unchanged"
    return ["unshare", *CONTAINED, f"--propagation={private}", "--"]


def _unmount(folder):
    """Nothing may be mounted in a folder that will be removed."""
    for point in _mounts(os.path.realpath(folder)):
        subprocess.run(["umount", "-l", point], check=True)


def _run(command, folder):
    """Runs mmdebstrap and says what it is doing; returns its status and all
    that it said. Who interrupts us interrupts it: it clears up by itself when
    all of its processes hear of that. What it has for the moment is in the
    folder."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                          errors="replace", stdin=subprocess.DEVNULL,
                          stderr=subprocess.STDOUT, process_group=0,
                          env=dict(os.environ, TMPDIR=folder)) as process:
        said = []
        try:
            for line in process.stdout:
                said.append(line)
                if line.startswith("I: ") and "hook" not in line:
                    say("  " + line[3:].rstrip())
        except BaseException:
            os.killpg(process.pid, signal.SIGINT)
            raise
        process.wait()
    return process.returncode, "".join(said)


def _tries(cache):
    """Whether to read lists of packages, in this try and in the next."""
    read = cache.read()
    if read is not None and time.time() - read < LISTS_LAST:
        return False, True
    return (True,) if read is None else (True, False)


def make_tar(codename, packages, hooks, target):
    """Makes the tar file `target` of a root with these packages besides what
    every Debian has; `hooks`: shell lines, as --customize-hook has them."""
    why = missing()
    if why:
        raise Failure(why)
    command = [*([] if os.geteuid() else contained()), "mmdebstrap",
               "--variant=minbase", "--format=tar",
               "--mode=" + ("auto" if os.geteuid() else "root"),
               # no fsync for each file: what is not whole is thrown away
               "--dpkgopt=force-unsafe-io",
               "--include=" + ",".join(packages), *apt_settings()]
    origin = sources(codename)
    with Cache(codename) as cache:
        for update in _tries(cache):
            if not update:
                say("package lists of " + time.strftime(
                    "%Y-%m-%d %H:%M", time.localtime(cache.read())))
            try:
                status, said = _run(
                    [*command, *cache.hooks(update),
                     *("--customize-hook=" + hook for hook in hooks),
                     codename, target, *origin], os.path.dirname(target))
            finally:
                _unmount(os.path.dirname(target))
            if not status:
                return
            say(f"  it failed: {reason(said)}")
    raise Failure(f"no root of Debian's {codename} could be made: "
                  + reason(said))
