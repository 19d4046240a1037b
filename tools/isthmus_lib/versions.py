# SPDX-License-Identifier: MIT
"""Which versions of other people's software a build took, and which ones
were tested: build/versions and tools/tested-versions, both with lines of
RELEASE PACKAGE VERSION."""

import os
import re
import subprocess

from isthmus_lib.common import BUILD, ROOT, Failure
from isthmus_lib.debian import release

TESTED = os.path.join(ROOT, "tools", "tested-versions")
TAKEN = os.path.join(BUILD, "versions")
# Of the packages that tools/setup installs, those that decide what a build
# or a machine is.
INSTALLED = ("gcc", "binutils", "gnu-efi", "musl-tools", "ovmf",
             "qemu-system-x86", "bochs")
OF_A_RESULT = "VERSION"         # the file in a dependency's folder
# A kernel's packages have its version in their names.
KERNEL = re.compile(r"^(linux-(?:image|headers))-\d.*?-"
                    r"((?:cloud-)?amd64|common)$")


def plain(package):
    """The name by which a package of any version is known."""
    return KERNEL.sub(r"\1-\2", package)


def read(path):
    """[(package, version)] of this release in such a file."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as f:
        rows = [line.split() for line in f if not line.startswith("#")]
    return [(row[1], row[2]) for row in rows
            if len(row) == 3 and row[0] == release()]


def remark(package, version):
    """What is to be said of a version that was not tested, or ""."""
    tested = [one for name, one in read(TESTED) if name == plain(package)]
    return "" if not tested or version in tested else \
        f" (last tested: {', '.join(tested)})"


def of_result(folder):
    """[(package, version)] that a dependency was made from."""
    with open(os.path.join(folder, OF_A_RESULT), encoding="utf-8") as f:
        return [tuple(line.split()) for line in f]


def write_result(folder, pairs):
    with open(os.path.join(folder, OF_A_RESULT), "w", encoding="utf-8") as f:
        f.writelines(f"{package} {version}\n" for package, version in pairs)


def installed():
    """[(package, version)] of this machine's."""
    found = []
    for package in INSTALLED:
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}",
             package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            check=False, text=True)
        state, _, version = done.stdout.partition(" ")
        if done.returncode == 0 and state == "installed":
            found.append((package, version))
    return found


def write_taken():
    """Writes build/versions: what build/deps links to, and the machine's."""
    folder = os.path.join(BUILD, "deps")
    pairs = set(installed())
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        if os.path.exists(os.path.join(folder, name, OF_A_RESULT)):
            pairs.update((plain(package), version) for package, version in
                         of_result(os.path.join(folder, name)))
    os.makedirs(BUILD, exist_ok=True)
    temporary = f"{TAKEN}.{os.getpid()}"
    with open(temporary, "w", encoding="utf-8") as f:
        f.writelines(f"{release()} {package} {version}\n"
                     for package, version in sorted(pairs))
    os.replace(temporary, TAKEN)


def describe():
    """What `isthmus --version` prints."""
    try:
        done = subprocess.run(
            ["git", "-C", ROOT, "log", "-1", "--format=%h of %cs"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
            text=True)
        commit = done.stdout.strip()
    except OSError:
        commit = ""
    lines = [f"Isthmus {commit or 'of an unknown commit'}"]
    try:
        taken = read(TAKEN)
    except Failure as failure:
        return "\n".join(lines + [str(failure)])
    if not taken:
        return "\n".join(lines + ["not built yet (run `make all`)"])
    lines.append(f"built on Debian's {release()} with")
    lines += [f"  {package:24} {version}{remark(package, version)}"
              for package, version in taken]
    return "\n".join(lines)
