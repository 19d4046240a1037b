# SPDX-License-Identifier: MIT
"""Tests of tools/deps against a small archive of their own: what it offers
moves on, goes away, is damaged. Run by `make check-tools` or alone."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))

from isthmus_lib import qemu_defect  # noqa: E402
from isthmus_lib.common import ROOT  # noqa: E402

OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n' \
    "VERSION_CODENAME=bookworm\n"


class Archive:
    """An apt repository with packages of one name, for one suite."""

    MAIN = "main/binary-amd64/Packages"
    SOURCES = "main/source/Sources"

    def __init__(self, folder, package, suite="bookworm"):
        self.folder = folder
        self.package = package
        self.suite = suite
        self.dist = os.path.join(folder, "dists", suite)
        for name in (self.MAIN, self.SOURCES):
            os.makedirs(os.path.dirname(os.path.join(self.dist, name)))

    def _path(self, version):
        return os.path.join(self.folder, f"{self.package}_{version}.deb")

    def build(self, version):
        """Makes the package's file: bin/busybox says which one it is."""
        root = os.path.join(self.folder, "root")
        os.makedirs(f"{root}/DEBIAN")
        os.makedirs(f"{root}/bin")
        with open(f"{root}/DEBIAN/control", "w", encoding="ascii") as f:
            f.write(f"Package: {self.package}\nVersion: {version}\n"
                    "Architecture: all\nMaintainer: nobody <n@example.org>\n"
                    "Description: a package of a test\n")
        with open(f"{root}/bin/busybox", "w", encoding="ascii") as f:
            f.write(version)
        subprocess.run(["dpkg-deb", "-b", root, self._path(version)],
                       stdout=subprocess.DEVNULL, check=True)
        shutil.rmtree(root)

    def drop(self, version):
        os.unlink(self._path(version))

    def damage(self, version):
        with open(self._path(version), "r+b") as f:
            f.seek(-1, os.SEEK_END)
            last = f.read(1)[0]
            f.seek(-1, os.SEEK_END)
            f.write(bytes([last ^ 1]))

    def offer(self, *versions):
        """Writes the lists, of files that are there now."""
        text = ""
        for version in versions:
            with open(self._path(version), "rb") as f:
                data = f.read()
            text += (f"Package: {self.package}\nVersion: {version}\n"
                     "Architecture: all\nMaintainer: nobody <n@example.org>\n"
                     f"Filename: {os.path.basename(self._path(version))}\n"
                     f"Size: {len(data)}\n"
                     f"SHA256: {hashlib.sha256(data).hexdigest()}\n"
                     "Description: a package of a test\n\n")
        release = f"Codename: {self.suite}\nSuite: {self.suite}\n" \
            "Components: main\nArchitectures: amd64\nSHA256:\n"
        for name, data in ((self.MAIN, text.encode()), (self.SOURCES, b"")):
            with open(os.path.join(self.dist, name), "wb") as f:
                f.write(data)
            release += f" {hashlib.sha256(data).hexdigest()} {len(data)} " \
                f"{name}\n"
        with open(os.path.join(self.dist, "Release"), "w",
                  encoding="ascii") as f:
            f.write(release)


class Supply(unittest.TestCase):
    def setUp(self):
        # pylint: disable=consider-using-with
        self.temporary = tempfile.TemporaryDirectory(prefix="isthmus-")
        self.folder = self.temporary.name
        shutil.copytree(os.path.join(ROOT, "tools"), self.path("p/tools"))
        self.archive = Archive(self.path("archive"), "busybox-static")
        os.makedirs(self.path("etc/apt"))
        self.write("etc/os-release", OS_RELEASE)
        self.write("p/tools/tested-versions", "bookworm busybox-static 0.9\n")
        self.source("[trusted=yes] ")

    def tearDown(self):
        self.temporary.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as f:
            f.write(text)

    def source(self, options):
        self.write("etc/apt/sources.list", f"deb {options}file:"
                   f"{self.path('archive')} bookworm main\n")

    def deps(self, *words, status=0, **variables):
        """Runs tools/deps of the copy; returns all that it says."""
        done = subprocess.run(
            [self.path("p/tools/deps"), *words], check=False, text=True,
            env=dict(os.environ, ISTHMUS_TEST_ETC=self.path("etc"),
                     XDG_CACHE_HOME=self.path("cache"), **variables),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def taken(self):
        """The version that build/deps/busybox is of."""
        with open(self.path("p/build/deps/busybox/busybox"),
                  encoding="ascii") as f:
            return f.read()

    def forget(self):
        """The cache without what was made: apt's lists stay."""
        for name in os.listdir(self.path("cache/isthmus")):
            if name.startswith("busybox-"):
                shutil.rmtree(self.path(f"cache/isthmus/{name}"))

    def test_the_newest_is_taken_and_told(self):
        for version in ("1:9.0-1", "1:10.0-1", "2:1.0~rc1"):
            self.archive.build(version)
        self.archive.offer("1:10.0-1", "2:1.0~rc1", "1:9.0-1")
        said = self.deps("busybox")
        self.assertEqual(self.taken(), "2:1.0~rc1")
        self.assertEqual(said.count("busybox-static 2:1.0~rc1 (last tested:"),
                         1, said)
        self.deps("--versions")
        with open(self.path("p/build/versions"), encoding="ascii") as f:
            self.assertIn("bookworm busybox-static 2:1.0~rc1\n", f.read())

    def test_the_archive_moved_on(self):
        self.archive.build("1.0-1")
        self.archive.offer("1.0-1")
        self.deps("busybox")
        self.archive.drop("1.0-1")
        self.archive.build("1.0-2")
        self.archive.offer("1.0-2")
        # what is there stays, without asking
        self.assertNotIn("fetching", self.deps("busybox"))
        self.assertEqual(self.taken(), "1.0-1")
        # a fresh build with lists that name what is gone
        self.forget()
        self.deps("busybox")
        self.assertEqual(self.taken(), "1.0-2")

    def test_a_version_that_cannot_be_had_is_passed_over(self):
        self.archive.build("1.0-1")
        self.archive.build("1.0-2")
        self.archive.offer("1.0-1", "1.0-2")
        self.archive.drop("1.0-2")
        said = self.deps("busybox")
        self.assertIn("busybox-static 1.0-2 cannot be fetched", said)
        self.assertEqual(self.taken(), "1.0-1")

    def test_backports_are_for_who_asks_for_them(self):
        later = Archive(self.path("archive"), "busybox-static",
                        "bookworm-backports")
        later.build("2.0-1")
        later.offer("2.0-1")
        self.archive.build("1.0-1")
        self.archive.offer("1.0-1")
        self.deps("busybox")
        self.assertEqual(self.taken(), "1.0-1")
        name = "p/tools/isthmus_lib/recipes.py"
        with open(self.path(name), encoding="utf-8") as f:
            text = f.read()
        own = 'Recipe(busybox, [Package("busybox-static")]'
        self.assertIn(own, text)
        self.write(name, text.replace(own, own + ", backports=('bookworm',)"))
        self.forget()
        self.deps("busybox")
        self.assertEqual(self.taken(), "2.0-1")

    def test_what_a_killed_run_left_goes(self):
        self.archive.build("1.0-1")
        self.archive.offer("1.0-1")
        # Which is killed while it unpacks.
        os.mkdir(self.path("bin"))
        self.write("bin/dpkg-deb", "#!/bin/sh\nkill -9 $PPID\n")
        os.chmod(self.path("bin/dpkg-deb"), 0o755)
        self.deps("busybox", status=-9, PATH=self.path("bin") + ":"
                  + os.environ["PATH"])
        cache = self.path("cache/isthmus")
        left = [n for n in os.listdir(cache) if n.endswith(".tmp")]
        self.assertEqual(len(left), 1)
        self.deps("busybox")
        self.assertEqual(self.taken(), "1.0-1")
        self.assertFalse([n for n in os.listdir(cache)
                          if n.endswith(".tmp")])

    def test_offline(self):
        self.archive.build("1.0-1")
        self.archive.offer("1.0-1")
        self.deps("busybox")
        os.rename(self.path("archive"), self.path("gone"))
        shutil.rmtree(self.path("p/build"))
        said = self.deps("busybox")
        self.assertEqual(said.count("\n"), 1, said)     # the folder alone
        self.assertEqual(self.taken(), "1.0-1")
        # a newer one is looked for, and what is there goes on
        self.deps("--update")
        self.assertEqual(self.taken(), "1.0-1")

    def test_update(self):
        self.archive.build("1.0-1")
        self.archive.offer("1.0-1")
        self.deps("busybox")
        self.archive.build("1.1-1")
        self.archive.offer("1.0-1", "1.1-1")
        self.deps("--update")
        self.assertEqual(self.taken(), "1.1-1")

    def test_damage_is_refused(self):
        self.archive.build("1.0-1")
        self.archive.offer("1.0-1")
        self.archive.damage("1.0-1")
        said = self.deps("busybox", status=1)
        self.assertIn("dependency 'busybox'", said)
        self.assertIn("busybox-static cannot be had", said)
        self.assertIn("part of every boot disk", said)
        self.assertFalse(os.path.exists(self.path("p/build/deps/busybox")))

    def test_an_unsigned_archive_is_refused(self):
        self.archive.build("1.0-1")
        self.archive.offer("1.0-1")
        self.source("")
        said = self.deps("busybox", status=1)
        self.assertIn("package lists cannot be read", said)

    def test_other_releases_are_refused(self):
        self.write("etc/os-release", 'PRETTY_NAME="Other 1"\n'
                   "VERSION_CODENAME=other\n")
        self.assertIn("this is 'Other 1'", self.deps("busybox", status=1))


# As in QEMU: who holds the lock is asked first.
ASKING = """
#include <stdlib.h>
int bql_locked(void) { return 0; }
void tcg_handle_interrupt(int mask)
{
	if (!bql_locked()) { exit(3); }
	exit(mask);
}
int main(int n, char **args) { tcg_handle_interrupt(n - 1); }
"""


class Defect(unittest.TestCase):
    def test_the_question_is_answered_with_yes(self):
        with tempfile.TemporaryDirectory(prefix="isthmus-") as folder:
            program = os.path.join(folder, "program")
            subprocess.run(["gcc", "-O2", "-fno-inline", "-fno-ipa-pure-const",
                            "-fno-ipa-cp", "-fno-ipa-vrp", "-rdynamic", "-x",
                            "c", "-", "-o", program], check=True,
                           input=ASKING.encode())
            self.assertEqual(subprocess.call([program]), 3)
            self.assertTrue(qemu_defect.answer_yes(program))
            self.assertEqual(subprocess.call([program]), 0)
            # it is not asked any more
            self.assertFalse(qemu_defect.answer_yes(program))


unittest.main()
