# SPDX-License-Identifier: MIT
"""Fetching pinned Debian packages through apt, without touching the machine.

apt runs with a state of its own under the cache folder: its sources are the
machine's own Debian sources, asked for source packages too. So the machine's
mirror, proxy and keys are used, and nothing of its configuration changes.
Every file is checked against the SHA-256 pinned by the caller.
"""

import glob
import os
import subprocess

from isthmus_lib.common import Failure, say, sha256_of

CODENAME = "bookworm"


def _suite_is_ours(suites):
    return any(s == CODENAME or s.startswith((CODENAME + "-", CODENAME + "/"))
               for s in suites)


def _from_one_line(text):
    """Entries of a sources.list, each as `deb` and as `deb-src`."""
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words or words[0] not in ("deb", "deb-src"):
            continue
        plain = " ".join(words[1:])
        if plain.startswith("["):
            plain = plain.partition("]")[2]
        fields = plain.split()
        if len(fields) > 2 and _suite_is_ours(fields[1:2]) \
                and "main" in fields[2:]:
            rest = " ".join(words[1:])
            yield f"deb {rest}\ndeb-src {rest}\n"


def _from_deb822(text):
    """Stanzas of a *.sources file, their Types replaced by both."""
    for stanza in text.split("\n\n"):
        lines = [l for l in stanza.splitlines() if not l.startswith("#")]
        fields = {l.split(":")[0].lower(): l.partition(":")[2].split()
                  for l in lines if ":" in l and not l[0].isspace()}
        if fields.get("enabled") == ["no"]:
            continue
        if not _suite_is_ours(fields.get("suites", [])) \
                or "main" not in fields.get("components", []):
            continue
        kept = [l for l in lines if not l.lower().startswith("types:")]
        yield "\n".join(["Types: deb deb-src"] + kept) + "\n\n"


def _read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


class Apt:
    """apt with its state in `folder`."""

    def __init__(self, folder):
        self.folder = folder
        self.fresh = False

    def _run(self, args, cwd=None):
        where = self.folder
        command = ["apt-get", "-qq",
                   "-o", f"Dir::Etc::sourcelist={where}/none",
                   "-o", f"Dir::Etc::sourceparts={where}/sources.d",
                   "-o", f"Dir::State::lists={where}/lists",
                   "-o", f"Dir::Cache={where}/cache",
                   "-o", "Acquire::Languages=none",
                   "-o", "Acquire::Retries=3",
                   "-o", f"APT::Sandbox::User={_user()}", *args]
        return subprocess.run(command, cwd=cwd, text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)

    def update(self):
        """Fetches the package lists of the machine's Debian sources."""
        old = [_read("/etc/apt/sources.list")] \
            if os.path.exists("/etc/apt/sources.list") else []
        old += map(_read, sorted(glob.glob("/etc/apt/sources.list.d/*.list")))
        new = map(_read, sorted(glob.glob("/etc/apt/sources.list.d/*.sources")))
        lines = "".join(e for text in old for e in _from_one_line(text))
        stanzas = "".join(e for text in new for e in _from_deb822(text))
        if not lines and not stanzas:
            raise Failure(f"no Debian {CODENAME} source with component 'main' "
                          "in /etc/apt: the dependencies come from there")
        for sub in ("sources.d", "lists/partial", "cache/archives/partial"):
            os.makedirs(f"{self.folder}/{sub}", exist_ok=True)
        for name, text in (("own.list", lines), ("own.sources", stanzas)):
            with open(f"{self.folder}/sources.d/{name}", "w",
                      encoding="utf-8") as f:
                f.write(text)
        say("reading Debian's package lists")
        result = self._run(["update"])
        if result.returncode:
            raise Failure("apt-get update failed:\n" + result.stdout)
        self.fresh = True

    def fetch(self, args, files, into, what):
        """apt-get `args` in folder `into`; then every name in `files` must
        be there with its SHA-256. The lists are updated when apt cannot
        do it with those it has."""
        result = None
        if os.path.isdir(f"{self.folder}/lists"):
            result = self._run(args, cwd=into)
        if (result is None or result.returncode) and not self.fresh:
            self.update()
            result = self._run(args, cwd=into)
        if result is None or result.returncode:
            raise Failure(
                f"{what} cannot be fetched from this machine's Debian "
                "sources. It is pinned in tools/deps; a newer version needs "
                "a new pin (version and SHA-256) there.\n" + result.stdout)
        for name, wanted in files.items():
            got = sha256_of(os.path.join(into, name))
            if got != wanted:
                raise Failure(f"{name} of {what} has SHA-256 {got}, "
                              f"but {wanted} is pinned in tools/deps")

    def deb(self, package, version, digest, into):
        """Downloads a binary package into `into`; returns its path."""
        say(f"fetching {package} {version}")
        folder = os.path.join(into, package)
        os.makedirs(folder)
        what = f"Debian package {package} {version}"
        self.fetch(["download", f"{package}={version}"], {}, folder, what)
        names = os.listdir(folder)
        if len(names) != 1:
            raise Failure(f"{what}: expected one file, found {names}")
        path = os.path.join(folder, names[0])
        if sha256_of(path) != digest:
            raise Failure(f"{what} has SHA-256 {sha256_of(path)}, "
                          f"but {digest} is pinned in tools/deps")
        return path

    def source(self, package, version, files, into):
        """Downloads a source package's files into `into`."""
        say(f"fetching the source of {package} {version}")
        self.fetch(["source", "--download-only", f"{package}={version}"],
                   files, into, f"Debian source package {package} {version}")


def _user():
    return "root" if os.getuid() == 0 else "_apt"
