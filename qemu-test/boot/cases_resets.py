# SPDX-License-Identifier: MIT
"""Programs at work in /mnt/host while the channel is reset again and again."""

import os
import re

from cases_channel import detached
from cases_files import make_tree, program_of_debian
from runner import BOCHS, case

RESETS = int(os.environ.get("RESETS") or
             (1000 if os.environ.get("TEST_ALL") else 20))
FILES = 200

# Each goes on until the last reset is over, once at least.
WORKERS = f"""\
untar() {{
	n=0
	until [ -e $over ] && [ $n -gt 0 ]; do
		tar xf /test/t.tar || return
		sha256sum -c /test/sums >/tmp/sums || return
		[ $(find tree -type f | wc -l) = {FILES} ] || return
		rm -r tree || return
		n=$((n + 1))
	done
	echo "untar: $n turns"
}}
commits() {{
	n=0
	git config --global user.name a
	git config --global user.email a@b
	until [ -e $over ] && [ $n -gt 0 ]; do
		git init -q --template= repo || return
		for i in 1 2 3; do
			for name in a b c d/a d/b; do
				mkdir -p repo/d
				seq $n $((n + 300 * i)) >repo/$name || return
			done
			git -C repo add . && git -C repo commit -qm $i || return
		done
		git -C repo repack -adq || return
		git -C repo fsck --strict --no-progress || return
		[ $(git -C repo log --oneline | wc -l) = 3 ] || return
		git -C repo status --porcelain || return
		rm -r repo || return
		n=$((n + 1))
	done
	echo "git: $n turns"
}}
rows() {{
	n=0
	sqlite3 $1.db "pragma journal_mode = $1; create table t (n integer);"
	until [ -e $over ] && [ $n -gt 0 ]; do
		n=$((n + 1))
		sqlite3 $1.db "insert into t values ($n);" || return
		sqlite3 $1.db "begin; insert into t values (0); rollback;" || return
		[ $(sqlite3 $1.db "select count(*) from t;") = $n ] || return
	done
	sqlite3 $1.db "pragma integrity_check;
		select count(*) = $n and sum(n) = $n * ($n + 1) / 2 from t;"
	echo "rows: $n turns"
}}"""
SCRIPT = f"""\
over=/tmp/over
export HOME=/tmp
mkdir /mnt/host/work
cd /mnt/host/work
{WORKERS}
mkdir hold once
resets hold hold $over &
resets once once $over &
untar &
commits &
rows wal &
rows delete &
sleep 1
resets make {RESETS} $over
wait
ls
"""

WANTED = ("untar: N turns", "git: N turns", "rows: N turns", "rows: N turns",
          "resets: held for N turns", "wal", "delete", "ok", "1", "ok", "1",
          "delete.db", "hold", "once", "wal.db",
          *4 * ["resets: each once, in N turns"], "[exit status 0]")


def overlay_of(t, name, work):
    """Linux's overlay, with a script test/NAME that does the work."""
    tar, sums, script = (t.path(n) for n in ("t.tar", "sums", "script"))
    make_tree(tar, sums, t.path("modes"), FILES)
    with open(script, "w", encoding="ascii") as f:
        f.write(f"({work}) >/tmp/said 2>&1\n"
                f"echo '<2>{name} is done' >/dev/kmsg\n")
    return t.overlay({
        "bin/resets": t.guest_program("resets"), "test/t.tar": tar,
        "test/sums": sums, f"test/{name}": script,
        **program_of_debian("sqlite"), **program_of_debian("git")})


def judge(t, console, name, count, wanted):
    """The script runs to its end: so many breaks, at least a quarter of them
    in the middle of requests, and what the workers are to say."""
    said = detached(t, console, name)
    met = re.search(rf"^resets: {count}, in the middle of requests: (\d+), "
                    r"of (\d+) in all$", said, re.M)
    t.check(met and int(met[1]) > count // 4, f"Linux said {said!r}")
    lines = [re.sub(r"\d+ turns", "N turns", line)
             for line in said.splitlines() if line != met[0]]
    t.check(sorted(lines) == sorted(wanted), f"Linux said {said!r}")
    t.note = f" ({met[0]})"
    said = console.run("exec dmesg | grep -E 'WARNING:|BUG|Oops|leak'")
    t.check(said == "[exit status 1]\n", f"the kernel's log: {said!r}")


@case("resets", "the channel is reset in the middle of tar, git, SQLite, and "
      "with files open, locked, without a name: nobody notices", later=BOCHS)
def resets(t):
    console = t.console("--overlay", overlay_of(t, "resets", SCRIPT),
                        timeout=300 + 10 * RESETS)
    console.ready()
    judge(t, console, "resets", RESETS, WANTED)
    console.send("poweroff")
    t.check(console.finish() == 0, "poweroff did not end the machine well")
