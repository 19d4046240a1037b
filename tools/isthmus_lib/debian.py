# SPDX-License-Identifier: MIT
"""Fetching Debian packages through apt, without touching the machine.

apt runs with a state of its own under the cache folder: its sources are the
machine's own Debian sources, asked for source packages too. So the machine's
mirror, proxy and keys are used, and nothing of its configuration changes.

What a package is, says apt: it checks each file against the package lists,
and these against the archive's signature and the machine's keys. No version
is named here: security updates take old ones away.
"""

import fcntl
import functools
import glob
import os
import re
import shutil
import subprocess
import time

from isthmus_lib.common import Failure, say

# The releases Isthmus is built on: what the series of a package is there.
RELEASES = {
    "bookworm": {"linux": "6.1"},
    "trixie": {"linux": "6.12"},
}
# Where /etc/os-release is, and apt's sources; a test has others.
ETC = os.environ.get("ISTHMUS_TEST_ETC") or "/etc"
LISTS_LAST = 3600       # seconds for which package lists are not asked again


def _read(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


@functools.cache
def release():
    """The codename of this machine's Debian release."""
    try:
        text = _read(f"{ETC}/os-release")
    except OSError as error:
        raise Failure(f"{ETC}/os-release: {error.strerror}") from error
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', text, re.M))
    name = fields.get("VERSION_CODENAME", "unknown")
    if name not in RELEASES:
        raise Failure(
            f"this is '{fields.get('PRETTY_NAME', name)}'; Isthmus is built "
            "on Debian 12 (bookworm) and Debian 13 (trixie)")
    return name


def series(package):
    """The series of `package` in this release, as "6.1"."""
    return RELEASES[release()][package]


def _suite_is_ours(suites):
    """Whether a source is of this release; bookworm-backports is not: it
    holds the next release's versions, and has an Apt of its own."""
    name = release()
    kept = (name, f"{name}-updates", f"{name}-security", f"{name}/updates",
            f"{name}-proposed-updates", f"{name}-test")
    return any(s.rstrip("/") in kept for s in suites)


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


def machine_sources():
    """(one-line entries, stanzas) of this machine's Debian sources."""
    old = [f"{ETC}/apt/sources.list"] \
        if os.path.exists(f"{ETC}/apt/sources.list") else []
    old += sorted(glob.glob(f"{ETC}/apt/sources.list.d/*.list"))
    new = sorted(glob.glob(f"{ETC}/apt/sources.list.d/*.sources"))
    lines = "".join(e for p in old for e in _from_one_line(_read(p)))
    stanzas = "".join(e for p in new for e in _from_deb822(_read(p)))
    return lines, stanzas


class Package:
    """A package of a recipe: its name, and whether its source is meant."""

    def __init__(self, name, source=False):
        self.name = name
        self.source = source

    def __str__(self):
        return ("source of " if self.source else "") + self.name


def _backports(lines, stanzas):
    """The same archives' backports, whether or not the machine uses them."""
    name, theirs = release(), release() + "-backports"
    kept = re.findall(rf"(?m)^(deb.* ){name} .*$", lines)
    others = [re.sub(r"(?mi)^suites:.*$", f"Suites: {theirs}", stanza)
              for stanza in stanzas.split("\n\n")
              if re.search(rf"(?mi)^suites:.* {name}( |$)", stanza)]
    return ("".join(f"{start}{theirs} main\n" for start in kept),
            "".join(f"{stanza}\n\n" for stanza in others))


class Apt:
    """apt with its state in a folder of the release's name; with
    `backports`, of its backports alone."""

    def __init__(self, folder, backports=False):
        self.backports = backports
        self.suite = release() + ("-backports" if backports else "")
        self.folder = os.path.join(folder, self.suite)
        self.sources = f"{self.folder}/sources.d"

    def _run(self, program, args, cwd=None):
        where = self.folder
        command = [program, "-qq",
                   "-o", f"Dir::Etc::sourcelist={where}/none",
                   "-o", f"Dir::Etc::sourceparts={self.sources}",
                   "-o", f"Dir::State::lists={where}/lists",
                   "-o", f"Dir::Cache={where}/cache",
                   "-o", "Acquire::Languages=none",
                   "-o", "Acquire::Retries=3",
                   "-o", f"APT::Sandbox::User={_user()}", *args]
        return subprocess.run(command, cwd=cwd, text=True,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)

    def _stamp(self):
        return f"{self.folder}/updated"

    def _write_sources(self):
        """Copies the machine's sources; returns whether they were others."""
        lines, stanzas = machine_sources()
        if self.backports:
            lines, stanzas = _backports(lines, stanzas)
        if not lines and not stanzas:
            raise Failure(f"no Debian source of '{release()}' with component "
                          f"'main' in {ETC}/apt: the dependencies come from "
                          "there")
        for sub in ("sources.d", "lists/partial", "cache/archives/partial"):
            os.makedirs(f"{self.folder}/{sub}", exist_ok=True)
        changed = False
        for name, text in (("own.list", lines), ("own.sources", stanzas)):
            path = f"{self.sources}/{name}"
            if not os.path.exists(path) or _read(path) != text:
                changed = True
                with open(path, "w", encoding="utf-8") as f:
                    f.write(text)
        return changed

    def update(self, anew=False):
        """Fetches the package lists of the machine's Debian sources, unless
        those that are there are young; with `anew`, these too. Where it
        cannot, old lists are used. May wait for another who does it."""
        os.makedirs(self.folder, exist_ok=True)
        asked = time.time()
        with open(f"{self.folder}/lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            changed = self._write_sources()
            stamp = self._stamp()
            age = asked - os.path.getmtime(stamp) \
                if os.path.exists(stamp) else None
            # age < 0: somebody did it while we waited
            if not changed and age is not None and \
                    (age < 0 or (age < LISTS_LAST and not anew)):
                return
            say("reading Debian's package lists")
            result = self._run("apt-get", ["update"])
            if result.returncode and age is None:
                raise Failure("Debian's package lists cannot be read:\n"
                              + result.stdout)
            if result.returncode:
                say("Debian's package lists cannot be read now; going on "
                    "with those of " + time.strftime(
                        "%Y-%m-%d", time.localtime(asked - age)))
            else:
                with open(stamp, "w", encoding="ascii"):
                    pass

    def versions(self, package):
        """What the release offers of `package`, newest first."""
        result = self._run("apt-cache", ["madison", package.name])
        wanted = "Sources" if package.source else "Packages"
        found = []
        for line in result.stdout.splitlines():
            fields = [f.strip() for f in line.split("|")]
            if len(fields) == 3 and fields[2].split()[-1:] == [wanted] \
                    and fields[1] not in found:
                found.append(fields[1])
        return sorted(found, key=functools.cmp_to_key(compare), reverse=True)

    def depends(self, name):
        """The packages that the newest `name` depends on, first ones."""
        result = self._run("apt-cache", ["depends", "-i", name])
        return re.findall(r"^  Depends: (\S+)", result.stdout, re.M)

    def _fetch_one(self, package, version, into):
        """One try; returns what apt said of its failure, or None."""
        folder = os.path.join(into, package.name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        how = ["source", "--download-only", "--tar-only"] if package.source \
            else ["download"]
        result = self._run("apt-get", [*how, f"{package.name}={version}"],
                           cwd=folder)
        return result.stdout or "apt-get failed" if result.returncode \
            else None

    def fetch(self, package, into):
        """Downloads the newest version that can be had into the folder
        `into`/NAME; returns (version, folder). Lists that name what is gone
        are read again; a version whose file is missing is passed over."""
        self.update()
        said = ""
        for anew in (False, True):
            if anew:
                self.update(anew=True)
            for version in self.versions(package):
                say(f"fetching {package} {version}")
                failed = self._fetch_one(package, version, into)
                if failed is None:
                    return version, os.path.join(into, package.name)
                say(f"{package} {version} cannot be fetched")
                said = failed
                if not anew:
                    break               # the lists may be old
        raise Failure(f"the Debian package {package} cannot be had from this "
                      f"machine's sources of '{self.suite}'\n"
                      + (said or "none of them knows it"))


def compare(a, b):
    """Debian's order of versions, for sorting: -1, 0 or 1."""
    if a == b:
        return 0
    older = subprocess.run(["dpkg", "--compare-versions", a, "lt", b],
                           check=False).returncode == 0
    return -1 if older else 1


def _user():
    return "root" if os.getuid() == 0 else "_apt"
