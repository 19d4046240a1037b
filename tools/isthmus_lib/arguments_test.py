#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `isthmus` makes of bad arguments: one line, a status of 2 for what the
user wrote and 1 for what this computer refused, and nothing left behind, also
when it is killed. Needs no build, no emulator."""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))

from isthmus_lib import bochs, cpio, devicetree, image      # noqa: E402
from isthmus_lib import manifest, scratch                   # noqa: E402
from isthmus_lib.common import ROOT, Failure                # noqa: E402
from isthmus_lib.machine import Machine                     # noqa: E402
from isthmus_lib.platforms import Platform, Settings        # noqa: E402

TOOL = os.path.join(ROOT, "tools", "isthmus")
LONG = "x" * 300
BYTES = os.fsdecode(b"a\xff")

# Arguments ({} is a folder with some things in it), status, part of the line.
BAD = [
    ("", 2, "COMMAND"),
    ("nonsense", 2, "nonsense"),
    ("image", 2, "OUT"),
    ("image {}/none/x.img", 2, "{}/none/x.img: No such file or directory"),
    ("image {}/folder", 2, "{}/folder: it is there and is no regular file"),
    ("image {}/fifo", 2, "no regular file"),
    ("image /dev/full", 2, "no regular file"),
    ("image {}/file/x.img", 2, "Not a directory"),
    ("image /proc/x.img", 2, "/proc/x.img: "),
    (["image", ""], 2, "OUT: it is empty"),
    ("image {}/" + LONG, 2, "File name too long"),
    ("image {}/x.img --kernel {}/none", 2, "--kernel {}/none: No such file"),
    ("image {}/x.img --kernel {}/folder", 2, "--kernel {}/folder: Is a dir"),
    ("image {}/x.img --kernel {}/fifo", 2, "not a regular file"),
    ("image {}/x.img --kernel {}/empty", 2, "--kernel {}/empty: it is empty"),
    ("image {}/x.img --kernel {}/file", 2, "it is no bzImage"),
    ("image {}/x.img --kernel {}/" + LONG, 2, "File name too long"),
    (["image", "{}/x.img", "--kernel", ""], 2, "--kernel: it is empty"),
    ("image {}/x.img --initrd {}/folder", 2, "--initrd {}/folder: Is a dir"),
    ("image {}/x.img --initrd {}/empty", 2, "it is empty"),
    ("image {}/x.img --initrd /dev/null", 2, "not a regular file"),
    (["image", "{}/x.img", "--initrd", ""], 2, "--initrd: it is empty"),
    ("image {}/x.img --manifest {}/folder", 2, "--manifest {}/folder: Is a"),
    ("image {}/x.img --manifest {}/empty", 2, "it is empty"),
    ("image {}/x.img --overlay {}/file", 2, "--overlay {}/file: Not a dir"),
    ("image {}/x.img --overlay {}/none", 2, "--overlay {}/none: No such"),
    (["image", "{}/x.img", "--overlay", ""], 2, "--overlay: it is empty"),
    ("image {}/x.img --share {}/file", 2, "--share {}/file: Not a directory"),
    (["image", "{}/x.img", "--share", ""], 2, "--share: it is empty"),
    ("image {}/x.img --exec true", 2, "--exec"),
    ("boot --platform none", 2, "none"),
    ("boot --smp 0", 2, "--smp: '0' is no number from 1 to 64"),
    ("boot --smp 9", 2, "--smp 9: Linux has 8 CPUs at most"),
    ("boot --smp 65", 2, "--smp: '65' is no number from 1 to 64"),
    ("boot --smp two", 2, "--smp: 'two' is no number"),
    ("boot --memory -1", 2, "--memory"),
    ("boot --memory 1e3", 2, "--memory: '1e3' is no number"),
    ("boot --memory " + "9" * 5000, 2, "--memory"),
    ("boot --linux-memory 15", 2, "'15' is no number from 16 to 65536"),
    ("boot --image {}/file --linux-memory 16", 2, "is for a disk that is made"),
    ("boot --timeout 0", 2, "--timeout"),
    (["boot", "--cpu", ""], 2, "--cpu: it is empty"),
    (["boot", "--until", ""], 2, "--until: it is empty"),
    ("boot --machine none", 2, "--machine"),
    ("boot --nic ne2000", 2, "--nic"),
    ("boot --nic virtio --platform bochs", 2,
     "--nic virtio: Bochs has only e1000"),
    ("boot --nic e1000 --wire 4000", 2, "neither listen:PORT nor connect:PORT"),
    ("boot --nic e1000 --wire tap:a,b", 2, "nor tap:NAME"),
    ("boot --nic e1000 --wire listen:0", 2, "'0' is no number from 1 to 65535"),
    ("boot --wire listen:4000 --platform qemu-tcg", 2,
     "--wire: it takes a network card"),
    ("boot --nic e1000 --wire listen:4000 --platform bochs", 2,
     "--wire: it takes a network card (--nic), and QEMU"),
    ("boot --nic e1000 --serve 80 --platform bochs", 2,
     "--serve: it takes a network card (--nic), and QEMU"),
    ("boot --nic e1000 --platform bochs" + " --forward 9" * 3, 2,
     "--forward: Bochs has at most 2"),
    ("boot --forward 9 --platform bochs --forward 7 --forward 5", 2,
     "--forward: Bochs has at most 2"),
    ("boot --nic none --forward 80 --platform bochs", 2,
     "--forward: it takes a network card (--nic), and QEMU or Bochs"),
    ("boot --nic none --forward 80 --platform qemu-tcg", 2,
     "--forward: it takes a network card"),
    ("boot --nic e1000 --wire listen:4000 --forward 80 --platform qemu-tcg", 2,
     "--forward: a cable (--wire) has no ports"),
    ("boot --disk-size 10", 2, "--disk-size is for the disk of --disk"),
    ("boot --disk-bus nvme", 2, "--disk-bus is for the disk of --disk"),
    ("boot --disk {}/folder --platform qemu-tcg", 2,
     "--disk {}/folder: it is not a regular file"),
    ("boot --disk /proc/self/exe --platform qemu-tcg", 2,
     "--disk /proc/self/exe: Text file busy"),
    ("boot --disk {}/empty --platform qemu-tcg", 2,
     "--disk {}/empty: it is empty"),
    ("boot --disk {}/d --disk {}/e", 2,
     "--disk: there can be only one"),
    ("boot --disk {}/file --disk-size 10 --platform qemu-tcg", 2,
     "is there already and has 4000 bytes"),
    ("boot --disk {}/d --disk-bus nvme --platform bochs", 2,
     "--disk-bus nvme: Bochs has only ide"),
    ("boot --disk-bad 7", 2, "--disk-bad is for the disk of --disk"),
    ("boot --disk {}/d --disk-bad 7 --platform bochs", 2,
     "--disk-bad: Bochs has no bad sectors"),
    ("boot --disk-log {}/l", 2, "--disk-log is for the disk of --disk"),
    ("boot --disk {}/d --disk-log {}/l --platform bochs", 2,
     "--disk-log: Bochs has none"),
    ("boot --disk-volume", 2, "--disk-volume is for the disk of --disk"),
    ("boot --disk {}/file --disk-volume --share {}/folder --platform qemu-tcg",
     2, "which is there already"),
    ("boot --disk-part a", 2, "--disk-part is for the disk of --disk"),
    ("boot --disk {}/d --disk-part a", 2, "--disk-part a: {}/d is not there"),
    (["boot", "--disk", "{}/file", "--disk-part", "a b"], 2,
     "--disk-part a b: a name with a space"),
    ("boot --disk-sector 512", 2, "--disk-sector is for the disk of --disk"),
    ("boot --disk {}/d --disk-bus ahci --disk-sector 4096 --platform qemu-tcg",
     2, "--disk-sector 4096: QEMU has it with virtio and nvme only"),
    ("boot --disk {}/none/d --platform qemu-tcg", 2,
     "{}/none/d: No such file"),
    ("boot --iommu arm", 2, "--iommu"),
    ("boot --qmp {}/q --platform bochs", 2, "--qmp needs QEMU"),
    ("boot --gdb nowhere --platform qemu-tcg", 2, "--gdb nowhere"),
    ("boot --platform qemu-tcg --log {}/none/log", 2, "{}/none/log: No such"),
    ("boot --platform qemu-tcg --log {}/folder", 2, "{}/folder: Is a direct"),
    (["boot", "--log", ""], 2, "--log: it is empty"),
    ("boot --platform qemu-tcg --linux-console {}/folder", 2, "Is a direct"),
    ("boot --image {}/none", 2, "--image {}/none: No such file"),
    ("boot --image {}/folder", 2, "--image {}/folder: Is a directory"),
    ("boot --image {}/empty", 2, "--image {}/empty: it is empty"),
    ("boot --image {}/file --exec true", 2, "--exec is for a disk that is"),
    ("boot --share-out {}/file", 2, "--share-out {}/file: File exists"),
    ("boot --share-out {}", 2, "--share-out {}: it is not empty"),
    ("boot --share-out {}/folder --platform qemu-tcg --disk {}/d", 2,
     "the volume is in memory; --disk-volume"),
    ("boot --share-out {}/d --platform qemu-tcg --disk {}/file --disk-volume "
     "--disk-part a", 2, "the volume is in a part of a disk"),
    ("sandbox", 2, "sandbox: there is no COMMAND"),
    ("exec", 2, "exec: there is no COMMAND"),
    ("exec --user", 2, "--user"),
    ("exec --usr x true", 2, "--usr"),
    ("boot --control a/b", 2, "--control: 'a/b' is no name"),
    ("boot --control m --nic none", 2, "--control: not with --nic none"),
    ("boot --control m --image {}/file", 2, "--control: not with --image"),
    ("boot --control m --wire listen:4000", 2, "--control: not with --wire"),
    ("sandbox --net out --", 2, "sandbox: there is no COMMAND"),
    ("sandbox --mount {}/folder true", 2, "--mount: '{}/folder' is not DIR:ro"),
    ("sandbox --mount {}/folder:rw true", 2, "folder:rw' is not DIR:ro"),
    ("sandbox --mount :ro true", 2, "--mount: ':ro' is not DIR:ro"),
    ("sandbox --mount {}/none:ro true", 2, "--mount {}/none: No such file"),
    ("sandbox --mount {}/file:ro true", 2, "--mount {}/file: Not a dir"),
    ("sandbox --mount {}/folder:ro --mount {}:ro true", 2,
     "--mount: there can be only one"),
    ("sandbox --net in true", 2, "--net: invalid choice"),
    ("sandbox --platform none true", 2, "none"),
    ("sandbox --smp 9 true", 2, "--smp 9: Linux has 8 CPUs at most"),
    ("distro", 2, "COMMAND"),
    ("distro build", 2, "debian"),
    ("distro build suse", 2, "suse"),
    ("distro build debian --name A", 2, "'A' cannot be a distribution's name"),
    ("distro build debian --release 11", 2, "--release"),
    ("distro build debian --packages aa,B", 2, "'B' is no package's name"),
    ("distro build debian --user 9", 2, "'9' cannot be a user's name"),
    ("distro import", 2, "TAR|FOLDER"),
    ("distro import {}/none", 2, "import {}/none: No such file or folder"),
    ("distro import {}/file", 2, "{}/file: it is no tar archive"),
    ("distro import {}/empty", 2, "{}/empty: it is empty"),
    ("distro import {}/fifo", 2, "{}/fifo: it is not a regular file"),
    ("distro import {}/folder", 2, "{}/folder: it is no OCI image layout"),
    ("distro import {}/file x --size 1", 2, "--size: '1' is no number from 64"),
    ("distro export none {}/x.tar", 2, "there is no distribution 'none'"),
    ("distro export none {}/x.tar.zst", 2, "archives are written plain, or"),
    ("distro remove none", 2, "`isthmus distro build debian --name none`"),
    ("distro default none", 2, "there is no distribution 'none'"),
    ("distro default", 2, "there is no default distribution"),
    ("boot --distro none --platform qemu-tcg", 2, "no distribution 'none'"),
    ("boot --distro --platform qemu-tcg", 2, "no default distribution"),
    ("boot --user a", 2, "--user is for the distribution of --distro"),
    ("boot --discard", 2, "--discard is for the distribution of --distro"),
    ("boot --image {}/file --distro a", 2, "--distro is for a disk that is"),
    ("boot --linux-disk 0", 2, "--linux-disk: '0' is no number from 1 to"),
    ("boot --linux-disk disk", 2, "there is none without --disk"),
    (["boot", "--linux-disk", "two words"], 2, "neither a number of MiB nor a word"),
    ("boot --image {}/file --linux-disk 8", 2, "--linux-disk is for a disk"),
    ("boot --image {}/file --append quiet", 2, "--append is for a disk"),
    (["boot", "--kernel", "{}/" + BYTES], 2, "a\\udcff: No such file"),
    (["image", "{}/" + BYTES + "/x"], 2, "No such file"),
    ("decode {}/none", 2, "{}/none: No such file"),
    ("decode {}/folder", 2, "{}/folder: Is a directory"),
]


class Arguments(unittest.TestCase):
    def setUp(self):
        # pylint: disable=consider-using-with
        self.temporary = tempfile.TemporaryDirectory(prefix="isthmus-")
        self.folder = self.temporary.name
        os.mkdir(self.path("tmp"))
        os.makedirs(self.path("data/isthmus/distros"))
        open(self.path("data/isthmus/distros/lock"), "w").close()
        os.mkdir(self.path("folder"))
        os.mkfifo(self.path("fifo"))
        self.write("file", b"text" * 1000)
        self.write("empty", b"")

    def tearDown(self):
        self.temporary.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)

    def run_tool(self, words, **kwargs):
        return subprocess.run(
            [TOOL, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, check=False, cwd=self.folder, timeout=60,
            env=dict(os.environ, TMPDIR=self.path("tmp"),
                     XDG_DATA_HOME=self.path("data")), **kwargs)

    def test_each_bad_argument_is_one_line(self):
        before = sorted(os.listdir(self.folder))
        for words, status, part in BAD:
            words = words.split() if isinstance(words, str) else words
            words = [w.replace("{}", self.folder) for w in words]
            with self.subTest(words=words):
                done = self.run_tool(words)
                said = done.stderr.decode()
                self.assertEqual(done.returncode, status, said)
                self.assertEqual(said.count("\n"), 1, said)
                self.assertIn(part.replace("{}", self.folder), said)
                self.assertEqual(done.stdout, b"")
                self.assertEqual(sorted(os.listdir(self.folder)), before)
                self.assertEqual(os.listdir(self.path("folder")), [])
                self.assertEqual(os.listdir(self.path("tmp")), [])
                self.assertEqual(os.listdir(
                    self.path("data/isthmus/distros")), ["lock"])

    def test_what_this_computer_refuses(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([TOOL, "decode", self.path("file")],
                                  stdout=full, stderr=subprocess.PIPE,
                                  check=False)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr,
                         b"isthmus: No space left on device\n")

    def test_ports_into_bochs(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with self.assertRaisesRegex(Failure, f"--forward {port}: Addr"):
                bochs.network(self.folder, [(port, 80)])
        bochs.network(self.folder, [(port, 80)])
        with open(self.path("slirp"), encoding="ascii") as f:
            self.assertEqual(f.read(), "# slirp config\n"
                             f"hostfwd = tcp:127.0.0.1:{port}-:80\n"
                             f"hostfwd = udp:127.0.0.1:{port}-:80\n")

    def test_a_failed_image_leaves_the_old_one(self):
        self.write("old.img", b"old")
        before = sorted(os.listdir(self.folder))
        done = self.run_tool(["image", self.path("old.img"), "--manifest",
                              self.path("file")])
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(sorted(os.listdir(self.folder)), before)
        self.assertEqual(os.listdir(self.path("tmp")), [])
        with open(self.path("old.img"), "rb") as f:
            self.assertEqual(f.read(), b"old")

    def test_text_of_any_bytes_is_passed_on(self):
        tree = devicetree.Node()
        tree.child("partitions").child("l").set_text("kernel", "k")
        manifest.fill_in(tree, {}, image.Options(append=BYTES, exec=BYTES))
        blob = devicetree.flatten(tree)
        self.assertEqual(blob.count(b"a\xff\0"), 2)
        self.assertIn(b"a\xff\0", devicetree.flatten(devicetree.parse(blob)))
        self.write("folder/" + BYTES, b"x")
        archive = cpio.Archive()
        archive.add_tree(self.path("folder"))
        self.assertIn(b"a\xff\0", archive.finish())

    def test_memory_is_what_each_linux_may_have(self):
        tree = devicetree.Node()
        for name in "host", "one", "two":
            tree.child("partitions").child(name).set_cell("memory-mib", 64)
        for name in "one", "two":
            tree.find("partitions/" + name).set_text("kernel", "k")
        manifest.fill_in(tree, {}, image.Options(linux_memory=1024))
        self.assertEqual([node.props["memory-mib"] for node in
                          tree.find("partitions").children],
                         [bytes(3) + b"\x40"] + [b"\0\0\4\0"] * 2)

    def test_whose_a_distribution_is(self):
        tree = devicetree.Node()
        for number in 1, 2:
            node = tree.child("partitions").child(f"l{number}")
            node.set_text("kernel", "k")
            node.set_cell("id", number)
        tree.child("disks").child("distro-b").set_cell("partition", 2)
        manifest.fill_in(tree, {}, image.Options(distros=[
            ("a", "serial:1", "anna"), ("b", "serial:2", None),
            ("c", "serial:3", None)]))
        for name, number in (("a", 1), ("b", 2), ("c", 1)):
            disk = tree.find(f"disks/distro-{name}")
            self.assertEqual(disk.props["partition"], bytes([0, 0, 0, number]))
        self.assertEqual([tree.find(f"partitions/l{i}").text("bootargs", "")
                          for i in (1, 2)],
                         ["isthmus.distro=a,anna", "isthmus.distro=b"])
        self.assertEqual(tree.find("chosen").text("writable-disks", ""),
                         "serial:1 serial:2 serial:3")

    def test_too_long_a_command_line(self):
        tree = devicetree.Node()
        tree.child("partitions").child("l").set_text("kernel", "k")
        manifest.fill_in(tree, {}, image.Options(append="x" * 2047))
        with self.assertRaisesRegex(Failure, "2047 .* 2048"):
            tree.find("partitions/l").props.pop("bootargs")
            manifest.fill_in(tree, {}, image.Options(append="x" * 2048))


class Leftovers(unittest.TestCase):
    def setUp(self):
        # pylint: disable=consider-using-with
        self.temporary = tempfile.TemporaryDirectory(prefix="isthmus-")
        self.folder = tempfile.tempdir = self.temporary.name
        self.children = []

    def tearDown(self):
        for child in list(self.children):
            self.kill(child)
        tempfile.tempdir = None
        self.temporary.cleanup()

    def in_child(self, function):
        """Starts function() in a process of its own, which then waits."""
        ready, tell = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                _kept = function()
                os.write(tell, b"x")
                time.sleep(1000)
            finally:
                os._exit(1)
        self.children.append(child)
        os.close(tell)
        self.assertEqual(os.read(ready, 1), b"x")
        os.close(ready)
        return child

    def kill(self, child):
        self.children.remove(child)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    def test_a_killed_run_is_cleared_up_by_the_next(self):
        child = self.in_child(lambda: [scratch.Folder()])
        with scratch.Folder() as other:
            self.assertEqual(len(os.listdir(self.folder)), 2)
            self.kill(child)
            with scratch.Folder() as third:
                self.assertEqual(sorted(os.listdir(self.folder)),
                                 sorted(os.path.basename(f.path)
                                        for f in (other, third)))
        self.assertEqual(os.listdir(self.folder), [])

    def test_each_name_and_place_by_itself(self):
        place = os.path.join(self.folder, "place")
        os.mkdir(place)
        self.kill(self.in_child(lambda: [scratch.Folder("a-", place)]))
        with scratch.Folder(place=place), scratch.Folder("a-"):
            self.assertEqual(len(os.listdir(place)), 2)
        with scratch.Folder("a-", place) as folder:
            self.assertEqual(os.listdir(place),
                             [os.path.basename(folder.path)])

    @unittest.skipUnless(os.getuid() == 0, "only root meets and may remove "
                         "what is another user's")
    def test_other_users_things_are_left_alone(self):
        theirs = os.path.join(self.folder, scratch.PREFIX + "theirs")
        os.mkdir(theirs)
        os.chown(theirs, 65534, 65534)
        with scratch.Folder():
            pass
        self.assertTrue(os.path.isdir(theirs))

    def test_others_things_are_left_alone(self):
        outside = os.path.join(self.folder, "outside")
        os.mkdir(outside)
        os.symlink(outside, os.path.join(self.folder, scratch.PREFIX + "a"))
        with open(os.path.join(self.folder, scratch.PREFIX + "b"), "wb"):
            pass
        before = sorted(os.listdir(self.folder))
        with scratch.Folder():
            pass
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_a_result_is_whole_or_not_there(self):
        path = os.path.join(self.folder, "out")

        def half():
            kept = scratch.result(path)
            with open(kept.__enter__(), "wb") as f:  # pylint: disable=C2801
                f.write(b"half a result")
            return [kept]

        child = self.in_child(half)
        self.assertFalse(os.path.exists(path))
        with self.assertRaisesRegex(Failure, "another run"):
            with scratch.result(path):
                pass
        self.kill(child)
        with scratch.result(path) as part:
            with open(part, "wb") as f:
                f.write(b"whole")
            self.assertFalse(os.path.exists(path))
        self.assertEqual(os.listdir(self.folder), ["out"])
        with open(path, "rb") as f:
            self.assertEqual(f.read(), b"whole")

    def test_the_reason_comes_last(self):
        script = "echo 'x: warning: odd' >&2; echo 'x: no such CPU' >&2; " \
                 "echo 'x: warning: late' >&2; exit 1"
        platform = Platform("p", "", lambda: None,
                            lambda *_: ["sh", "-c", script], "log")
        said = io.StringIO()
        with Machine(platform, Settings()) as machine, \
                contextlib.redirect_stderr(said), \
                self.assertRaisesRegex(Failure, "start: x: no such CPU$"):
            machine.start()
        self.assertEqual(said.getvalue(),
                         "  x: warning: odd\n  x: warning: late\n")
        self.assertEqual(os.listdir(self.folder), [])


unittest.main()
