# SPDX-License-Identifier: MIT
"""Power cuts on machines: what a disk may be left as, and whether what was
promised is there. guest/promises.c makes files and promises.

The states come from a log of the disk's writes (QEMU's blklogwrites, in the
format of Linux's dm-log-writes): all up to a flush, and any of those after it.
Or they are copies of the disk's file, made while the emulator is stopped by a
signal. Such a copy is what killing the emulator would have left: it has no
copy of the disk of its own but what it has given to the host's kernel with
pwrite(), which ends before the signal stops or kills it, and the file as
others read it has all of that and nothing else. What the host has not yet on
its own disk is lost in neither case."""

import concurrent.futures
import itertools
import os
import random
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import tempfile
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
RECOVER = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build",
                       "power", "recover")
MAGIC = 0x6a736677736872        # of the log, as Linux's log-writes.rst has it
FLUSH, DISCARD, MARK = 1, 4, 8  # flags of an entry
SECTOR = 512                    # of Linux's logs
# What is in a tree of promises.c; N: which one.
TREE = {f"f{i}": (f"dN/f{i}\n", 50 + i * 733 % 7000) for i in range(24)}
SAID = re.compile(r"\n([a-z]+)-(\d+)(?=\r?\n)")


class Wrong(Exception):
    """What is there is not what was promised."""


def entries(path):
    """The log's entries: (first byte, bytes, flags, where the data are in the
    log, where it ends)."""
    size = os.path.getsize(path)
    with open(path, "rb") as f:
        magic, version, _, sector = struct.unpack("<QQQI", f.read(28))
        if (magic, version) != (MAGIC, 1):
            raise Wrong(f"{path} is no log of writes")
        at = sector
        while at + sector <= size:
            f.seek(at)
            first, count, flags, _ = struct.unpack("<QQQQ", f.read(32))
            data = at + sector
            at = data
            if not flags & (DISCARD | MARK):
                at += count * sector
            if at > size or not (count or flags):
                return          # the emulator has ended in the middle
            yield first * sector, count * sector, flags, data, at


def marks(path):
    """What the marks in a log of dm-log-writes promise: (where the log ends
    then, promises)."""
    promised, found = {}, []
    with open(path, "rb") as f:
        for _, _, flags, data, end in entries(path):
            if flags & MARK:
                f.seek(data - SECTOR + 32)
                text = "\n" + f.read(SECTOR - 32).split(b"\0")[0].decode()
                promised = {**promised, **said(text + "\n")}
                found.append((end, promised))
    return found


class Replay:
    """A disk over the entries of a log."""

    def __init__(self, base, log):
        with open(base, "rb") as f:
            self.disk = bytearray(f.read())
        self.log = open(log, "rb")      # pylint: disable=consider-using-with
        self.path = log

    def _apply(self, disk, entry):
        first, count, flags, data, _ = entry
        if flags & DISCARD:
            disk[first:first + count] = bytes(count)
        elif count:
            self.log.seek(data)
            disk[first:first + count] = self.log.read(count)

    def states(self, seed, every):
        """At each flush: the disk with some of what was written since the one
        before, then with all; of these each `every`-th: (its number, the disk,
        how much of the log lasts in it). The disk is good until the next. At
        the end it is what all has made of it."""
        chance, number = random.Random(seed), itertools.count()
        since, lasting, before = [], 0, 0
        for entry in entries(self.path):
            if entry[2] & FLUSH:
                # What goes with a flush is written after it.
                lasts = before if entry[1] else entry[4]
                if since:
                    n = next(number)
                    if n % every == 0 and len(since) > 1:
                        yield n, self._some(since, chance), lasting
                    self._all(since)
                    n = next(number)
                    if n % every == 0:
                        yield n, self.disk, lasts
                lasting, since = lasts, []
            if not entry[2] & FLUSH or entry[1]:
                since.append(entry)
            before = entry[4]
        self._all(since)

    def _all(self, since):
        for entry in since:
            self._apply(self.disk, entry)

    def _some(self, since, chance):
        disk = bytearray(self.disk)
        for entry in since:
            if chance.random() < 0.5:
                self._apply(disk, entry)
        return disk


def said(text):
    """The promises in what a console has shown: {what: the last number}."""
    return {what: int(n) for what, n in SAID.findall(text)}


def _is(found, text, size):
    """Whether a file begins with so much of the text, and nothing else."""
    size_found, crc = found
    want = (text * (size_found // len(text) + 1))[:size_found].encode()
    return size_found == size and crc == zlib.crc32(want)


def _data(files, least):
    """How often data was replaced: at least so often, it may be much more."""
    if "data" not in files:
        if least:
            raise Wrong(f"data has no name, {least} was promised")
        return 0
    for n in range(max(least, 1), least + 1000):
        if _is(files["data"], f"data {n}\n", 100 + n * 577 % 9000):
            return n
    raise Wrong(f"data is {files['data']}, not whole, or older than {least}")


def _lines(files, least):
    """How many lines log has."""
    size, crc = files.get("log", (0, 0))
    want = "".join(f"line {n:10}\n" for n in range(1, size // 16 + 1))
    if size % 16 or size // 16 < least or crc != zlib.crc32(want.encode()):
        raise Wrong(f"log has {size} bytes, {least} lines were promised")
    return size // 16


def check_copies(files, word, least, texts, keep):
    """Folders word1, word2... are made one after the other, each with `texts`:
    {name: (what its content repeats, bytes)}; when one is there, the one that
    is `keep` older goes. The one of `least` was promised."""
    def whole(n):
        return all(files.get(f"{word}{n}/{name}", (None, 0))[0] == size
                   for name, (_, size) in texts.items())

    latest = 0
    for name, found in files.items():
        copy = re.fullmatch(rf"{word}(\d+)/(.*)", name)
        if copy and copy[2] in texts:
            latest = max(latest, int(copy[1]))
            if not _is(found, texts[copy[2]][0].replace("N", copy[1]),
                       found[0]):
                raise Wrong(f"{name} has something else in it: {found}")
    if least and latest <= least + keep and \
            not (whole(least) or whole(least + keep)):
        raise Wrong(f"{word}{least} was promised, and is not whole")


def check(files, promised):
    """`files`: {path: (size, CRC-32)}. Nothing may be in a file that was never
    written to it, and what was promised must be there: as it was seen, and as
    what came after it shows, for promises.c does nothing before the last is
    lasting."""
    replaced = _data(files, promised.get("data", 0))
    lines = _lines(files, promised.get("log", 0))
    if replaced not in (lines, lines + 1):
        raise Wrong(f"data was replaced {replaced} times, log has {lines} "
                    "lines")
    check_copies(files, "d", max(promised.get("tree", 0),
                                 (replaced - 1) // 4), TREE, 2)


def _run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False,
                          stderr=subprocess.STDOUT)
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode:
        raise Wrong(f"{' '.join(command)} ended with {done.returncode}:\n"
                    f"{text[-2000:]}")
    return text


def recover(image):
    """Opens and closes what is in the file as host-bridge does; e2fsck agrees
    that it is clean. Returns its files."""
    text = _run([RECOVER, image])
    _run(["e2fsck", "-fn", image])
    return {name: (int(size), int(crc)) for name, size, crc in
            (line.rsplit("\t", 2) for line in text.splitlines())}


class Judge:
    """Judges states as they come, two at a time."""

    def __init__(self, look, keep):
        """look(image, promises) raises Wrong; the image is kept then."""
        self.look = look
        self.keep = keep
        self.folder = tempfile.mkdtemp(prefix="isthmus-power-", dir=next(
            place for place in ("/dev/shm", "/tmp") if os.path.isdir(place)))
        self.pool = concurrent.futures.ThreadPoolExecutor(2)
        self.waiting = []
        self.number = itertools.count()
        self.count = 0

    def _one(self, image, promised, what):
        try:
            self.look(image, promised)
        except Wrong as error:
            shutil.move(image, os.path.join(self.keep, what + ".img"))
            raise Wrong(f"{what}, promised {promised}: {error}") from error
        os.unlink(image)

    def _settle(self, most):
        while len(self.waiting) > most:
            self.waiting.pop(0).result()

    def path(self):
        """Where the next state may be put."""
        self._settle(3)
        return os.path.join(self.folder, str(next(self.number)))

    def add(self, image, promised, what):
        self.count += 1
        self.waiting.append(self.pool.submit(self._one, image, promised,
                                             what))

    def finish(self):
        """Returns how many there were; raises Wrong for the first that is."""
        try:
            self._settle(0)
        finally:
            self.pool.shutdown(cancel_futures=True)
            shutil.rmtree(self.folder, ignore_errors=True)
        return self.count


def look(image, promised):
    check(recover(image), promised)


def below(files, folder):
    """Those in a folder, by their names there."""
    return {name[len(folder) + 1:]: found for name, found in files.items()
            if name.startswith(folder + "/")}


def dump(image, name, to):
    """A file of the image into one here; "": it has none of that name."""
    _run(["debugfs", "-R", f"dump /{name} {to}", image])
    return to if os.path.exists(to) else ""


def check_rows(image, files, name, least):
    """An SQLite database is in order, and has the rows that were promised."""
    folder = tempfile.mkdtemp(prefix="rows-", dir=os.path.dirname(image))
    try:
        for part in ("", "-journal", "-wal"):
            if name + part in files:
                dump(image, name + part, os.path.join(folder, "db" + part))
        if name not in files:
            if least:
                raise Wrong(f"{name} has no name")
            return
        with sqlite3.connect(os.path.join(folder, "db")) as db:
            sound = db.execute("pragma integrity_check").fetchone()[0]
            have = db.execute("select count(*), coalesce(max(n), 0) from t") \
                .fetchone() if least else (0, 0)
        db.close()
        if sound != "ok" or have[0] != have[1] or have[0] < least:
            raise Wrong(f"{name}: {sound}, {have} rows, {least} promised")
    except sqlite3.Error as error:
        raise Wrong(f"{name}: {error}, {least} rows promised") from error
    finally:
        shutil.rmtree(folder)


def emulator(tool):
    """The process of QEMU that a process of tools/isthmus has started."""
    for task in os.listdir(f"/proc/{tool}/task"):
        with open(f"/proc/{tool}/task/{task}/children", encoding="ascii") as f:
            for pid in f.read().split():
                with open(f"/proc/{pid}/comm", encoding="ascii") as name:
                    if name.read().startswith("qemu-system"):
                        return int(pid)
    raise Wrong("the emulator is not there")


def _stopped(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii") as f:
            if f.read().rpartition(")")[2].split()[0] != "T":
                return False
    return True


def copy_stopped(pid, disk, to):
    """The disk's file at this instant."""
    os.kill(pid, signal.SIGSTOP)
    try:
        while not _stopped(pid):
            time.sleep(0.001)
        shutil.copyfile(disk, to)
    finally:
        os.kill(pid, signal.SIGCONT)


def judge_instants(console, disk, count, seed, look_at):
    """So many instants, by chance, of a machine that is at work. Returns how
    many were judged."""
    judge = Judge(look_at, os.path.dirname(disk))
    chance = random.Random(seed)
    pid = emulator(console.process.pid)
    try:
        for n in range(count):
            time.sleep(chance.uniform(0, 0.4))
            path = judge.path()
            promised = said(console.seen)   # or more, by the time it stops
            copy_stopped(pid, disk, path)
            judge.add(path, promised, f"instant-{n}")
    finally:
        judged = judge.finish()
    return judged


def judge_log(base, log, acks, most, seed=1, look=look):
    """The states of a log, `most` of them. acks: (bytes of the log, promises)
    as they were seen, in their order. Returns how many were judged."""
    count = 2 * sum(1 for entry in entries(log) if entry[2] & FLUSH)
    judge = Judge(look, os.path.dirname(log))
    try:
        # Odd, so that both kinds have their turn.
        for n, disk, lasting in Replay(base, log).states(
                seed, count // most // 2 * 2 + 1):
            path = judge.path()
            with open(path, "wb") as f:
                f.write(disk)
            promised = {}
            for end, what in acks:
                if end <= lasting:
                    promised = what
            judge.add(path, promised, f"state-{n}")
    finally:
        judged = judge.finish()
    return judged, count
