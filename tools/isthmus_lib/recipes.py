# SPDX-License-Identifier: MIT
"""How each dependency is fetched and built; see tools/deps.

A recipe names packages and gets a Job: it fills `out`, may use `scratch`,
finds the packages unpacked in `roots`, and `final` is the path that `out`
will have, for files that must name it. No recipe names a version.
"""

import glob
import hashlib
import inspect
import os
import re
import shutil

from isthmus_lib import qemu_defect
from isthmus_lib.common import ROOT, Failure, run, say
from isthmus_lib.debian import Package, release, series

JOBS = f"-j{os.cpu_count() or 1}"

# Freestanding code for the host partition. The machine's gcc is told that it
# is not on Linux and finds no header but newlib's and its own.
TARGET_FLAGS = [
    "-O2", "-mno-red-zone", "-fno-pic", "-fno-pie", "-mcmodel=small",
    "-fno-stack-protector", "-fcf-protection=none", "-ffunction-sections",
    "-fdata-sections", "-U__linux__", "-U__linux", "-Ulinux",
    "-U__gnu_linux__", "-U__unix__", "-U__unix", "-Uunix", "-nostdinc"]
COMPAT = os.path.join(ROOT, "host-bridge", "rt", "compat")
KERNEL_CONFIG = os.path.join(ROOT, "guest", "kernel.config")
KERNEL_LAYOUT = os.path.join(ROOT, "guest", "kernel_layout.h")
LZ4STORE = os.path.join(ROOT, "guest", "lz4store.c")
# What every read, write, look-up, packet and switch of processes runs through
# is compiled for speed: 290 of the 6,800 instructions of a round trip through
# pipes. This replaces the flags that the kernel's makefiles have for files of
# these names; none matters without stack protector, tracing and ORC tables.
FAST = ("af_vsock build_policy build_utility common core dcache dev dir fair "
        "file inode ioprio iov_iter mutex namei open pipe process_64 "
        "read_write slub socket sock stat timekeeping tlb "
        "virtio_transport_common wait xarray").split()


def _gcc_headers():
    return run(["gcc", "-print-file-name=include"]).strip()


def newlib(job):
    """The C library of the host partition: include/ and lib/."""
    out, scratch = job.out, job.scratch
    tar, = glob.glob(f"{job.roots['newlib-source']}/usr/src/newlib/*.tar.*")
    run(["tar", "xf", tar, "-C", scratch])
    source, = glob.glob(f"{scratch}/newlib-*/configure")
    build, log = f"{scratch}/build", f"{scratch}/log"
    os.mkdir(build)
    flags = " ".join(TARGET_FLAGS + ["-idirafter", _gcc_headers()])
    tools = {"CC": "gcc", "AR": "ar", "AS": "as", "LD": "ld", "NM": "nm",
             "RANLIB": "ranlib", "OBJCOPY": "objcopy", "STRIP": "strip",
             "READELF": "readelf", "OBJDUMP": "objdump"}
    say("building newlib")
    run([source, "--target=x86_64-elf", f"--prefix={scratch}/prefix",
         "--disable-newlib-supplied-syscalls",
         "--enable-newlib-retargetable-locking",
         "--enable-newlib-io-long-long", "--enable-newlib-io-c99-formats",
         "--disable-libgloss", "--disable-multilib", "--disable-nls",
         *(f"{k}_FOR_TARGET={v}" for k, v in tools.items()),
         f"CFLAGS_FOR_TARGET={flags}", "MAKEINFO=true"], log, cwd=build)
    # Not in one go: with -j the installation overtakes the build.
    run(["make", JOBS, "all-target-newlib"], log, cwd=build)
    run(["make", "install-target-newlib"], log, cwd=build)
    for sub in ("include", "lib"):
        os.rename(f"{scratch}/prefix/x86_64-elf/{sub}", f"{out}/{sub}")


# libext2fs files for the machine it was written for: devices of an operating
# system, other io managers, tests and programs. tdb wants a file system.
EXT2FS_LEFT_OUT = """bb_compat bmove brel_ma dosio dupfs finddev flushb
    gen_crc32ctable getsectsize getsize imager inode_io irel_ma ismounted
    llseek nls_utf8_gen nt_io qcow2 sparse_io tdb tdbtool test_io undo_io
    unix_io windows_io write_bb_file""".split()


def ext2fs(job):
    """libext2fs and libcom_err on newlib: include/ lib/ and src/ (whole,
    as the LGPL wants it)."""
    out, scratch = job.out, job.scratch
    tar, = glob.glob(f"{job.roots['e2fsprogs']}/*.orig.tar.?z")
    src, log = f"{out}/src", f"{scratch}/log"
    os.mkdir(src)
    run(["tar", "xf", tar, "--strip-components=1", "-C", src])
    include, lib = f"{out}/include", f"{src}/lib"
    for sub in ("ext2fs", "et"):
        os.makedirs(f"{include}/{sub}")
        for path in glob.glob(f"{lib}/{sub}/*.h"):
            shutil.copy(path, f"{include}/{sub}")
    _ext2fs_headers(lib, include, scratch, job.versions[0][1])
    flags = [*TARGET_FLAGS, "-w", "-DHAVE_CONFIG_H", f"-I{COMPAT}",
             f"-I{include}/ext2fs", f"-I{include}", f"-I{lib}",
             "-isystem", job.get("newlib") + "/include",
             "-idirafter", _gcc_headers()]
    say("building libext2fs")
    names = sorted(glob.glob(f"{lib}/ext2fs/*.c"))
    files = [n for n in names if not os.path.basename(n).startswith("tst_")
             and os.path.basename(n)[:-2] not in EXT2FS_LEFT_OUT]
    errors = [f"{lib}/et/{n}.c" for n in ("error_message", "et_name",
              "init_et", "com_err", "com_right")]
    os.mkdir(f"{out}/lib")
    _archive(files + [f"{scratch}/ext2_err.c"], flags,
             f"{out}/lib/libext2fs.a", scratch, log)
    _archive(errors + [f"{COMPAT}/ids.c"], flags,
             f"{out}/lib/libcom_err.a", scratch, log)


def _ext2fs_headers(lib, include, scratch, version):
    """The files that e2fsprogs' own build generates."""
    sizes = {"ASM_TYPES_HEADER": "", "PUBLIC_CONFIG_HEADER": "",
             "SIZEOF_SHORT": "2", "SIZEOF_INT": "4", "SIZEOF_LONG": "8",
             "SIZEOF_LONG_LONG": "8", "E2FSPROGS_VERSION": version}
    for name, target in (("ext2_types.h", f"{include}/ext2fs/ext2_types.h"),
                         ("ext2_err.et", f"{scratch}/ext2_err.et")):
        with open(f"{lib}/ext2fs/{name}.in", encoding="utf-8") as f:
            text = f.read()
        for key_, value in sizes.items():
            text = text.replace(f"@{key_}@", value)
        with open(target, "w", encoding="utf-8") as f:
            f.write(text)
    for kind, target in (("h", f"{include}/ext2fs/ext2_err.h"),
                         ("c", f"{scratch}/ext2_err.c")):
        run(["awk", "-f", f"{lib}/et/et_{kind}.awk", f"outfile={target}",
             f"outfn=ext2_err.{kind}", f"{scratch}/ext2_err.et"])
    run(["gcc", f"-I{include}/ext2fs", f"-I{include}", f"-I{lib}",
         "-o", f"{scratch}/gen", f"{lib}/ext2fs/gen_crc32ctable.c"])
    with open(f"{include}/ext2fs/crc32c_table.h", "w",
              encoding="utf-8") as f:
        f.write(run([f"{scratch}/gen"]))


def _archive(files, flags, target, scratch, log):
    """Compiles `files` into the archive `target`."""
    objects = []
    for path in files:
        objects.append(f"{scratch}/{os.path.basename(path)[:-2]}.o")
        run(["gcc", *flags, "-c", path, "-o", objects[-1]], log)
    run(["ar", "rcsD", target, *objects], log)


def lwip(job):
    """lwIP's C files and headers, as its authors wrote them: src/, compiled by
    each user, with options of ours (host-bridge/net/lwip)."""
    tar, = glob.glob(f"{job.roots['lwip']}/*.orig.tar.?z")
    run(["tar", "xf", tar, "--strip-components=1", "-C", job.scratch,
         "--wildcards", "*/src", "*/COPYING"])
    shutil.move(f"{job.scratch}/src", f"{job.out}/src")
    shutil.move(f"{job.scratch}/COPYING", job.out)


def linux(job):
    """The kernel's source tree."""
    say("unpacking the kernel's source")
    root, = job.roots.values()
    tar, = glob.glob(f"{root}/usr/src/linux-source-*.tar.xz")
    run(["tar", "xf", tar, "--strip-components=1", "-C", job.out])


def libfdt(job):
    """libfdt's C files and headers, compiled by each user."""
    folder = job.get("linux") + "/scripts/dtc/libfdt"
    for path in glob.glob(f"{folder}/*.[ch]"):
        shutil.copy(path, job.out)


# Lines of the fragment that a series of Linux does not have: what they ask
# for is so there without them. Firmware and processor are trusted to give
# random numbers, and BASE_FULL is the absence of BASE_SMALL.
CONFIG_GONE = {
    "6.1": ("CONFIG_BLK_DEV_WRITE_MOUNTED",),
    "6.12": ("CONFIG_RANDOM_TRUST_CPU", "CONFIG_RANDOM_TRUST_BOOTLOADER",
             "CONFIG_BASE_FULL"),
}


def _check_config(config, fragment):
    """Every symbol the fragment asks for must have got its value."""
    gone = CONFIG_GONE[series("linux")]
    with open(config, encoding="utf-8") as f:
        got = dict(re.findall(r"^(CONFIG_\w+)=(.*)$", f.read(), re.M))
    with open(fragment, encoding="utf-8") as f:
        wanted = re.findall(r"^(CONFIG_\w+)=(.*)$", f.read(), re.M)
    lost = [f"{k}={v} (is {got.get(k, 'not set')})" for k, v in wanted
            if got.get(k, "n") != v and k not in gone]
    if lost:
        raise Failure("the kernel's configuration does not take these lines "
                      f"of {os.path.relpath(fragment, ROOT)}, a dependency "
                      "of each may be missing:\n  " + "\n  ".join(lost))


def linux_build(job):
    """Our kernel: bzImage, config, build/ (for building modules against),
    modules/ (installed, if the configuration has any)."""
    out, scratch = job.out, job.scratch
    source, build, log = job.get("linux"), f"{out}/build", f"{scratch}/log"
    os.mkdir(build)
    env = dict(os.environ, KBUILD_BUILD_TIMESTAMP="2024-01-01",
               KBUILD_BUILD_USER="isthmus", KBUILD_BUILD_HOST="isthmus",
               KCONFIG_ALLCONFIG=KERNEL_CONFIG)
    run(["gcc", "-O2", "-o", f"{scratch}/lz4store", LZ4STORE])
    make = ["make", "-C", source, f"O={build}", "ARCH=x86_64",
            f"LZ4={scratch}/lz4store", *(f"CFLAGS_{n}.o=-O3" for n in FAST),
            f"CPPFLAGS_vmlinux.lds=-include {KERNEL_LAYOUT}"]
    run([*make, "allnoconfig"], log, env=env)
    _check_config(f"{build}/.config", KERNEL_CONFIG)
    say("building the kernel (some minutes)")
    run([*make, JOBS, "bzImage", "modules"], log, env=env)
    with open(f"{build}/.config", encoding="utf-8") as f:
        if "=m\n" in f.read():
            run([*make, f"INSTALL_MOD_PATH={out}/modules",
                 "modules_install"], log, env=env)
    shutil.copy(f"{build}/arch/x86/boot/bzImage", f"{out}/bzImage")
    shutil.copy(f"{build}/.config", f"{out}/config")
    # The object files are most of its size, and modules do not need them.
    run(["find", build, "(", "-name", "*.o", "-o", "-name", "*.a", ")",
         "-not", "-path", "*/tools/*", "-not", "-path", "*/scripts/*",
         "-delete"])


def busybox(job):
    """One static program, out/busybox."""
    root = job.roots["busybox-static"]
    path, = [p for p in (f"{root}/bin/busybox", f"{root}/usr/bin/busybox")
             if os.path.exists(p)]
    shutil.copy(path, f"{job.out}/busybox")


def _kernel_packages(apt):
    """Debian's own kernel, newest: the image and what modules need."""
    image = apt.depends("linux-image-amd64")[:1]
    headers = apt.depends("linux-headers-amd64")[:1]
    more = [name for headers_ in headers for name in apt.depends(headers_)
            if re.match(r"linux-(headers-.*-common|kbuild-)", name)]
    if len(image + headers + more) != 4:
        raise Failure("linux-image-amd64 and linux-headers-amd64 do not "
                      f"lead to a kernel, only to {image + headers + more}")
    return [Package(name) for name in image + headers + more]


def debian_kernel(job):
    """Debian's own kernel: vmlinuz, modules/ (lib/modules/VERSION), and
    headers/ to build a module against (make -C headers M=...)."""
    out, final = job.out, job.final
    image, headers, common, kbuild = job.roots.values()
    vmlinuz, = glob.glob(f"{image}/boot/vmlinuz-*")
    version = os.path.basename(vmlinuz).partition("-")[2]
    shutil.move(vmlinuz, f"{out}/vmlinuz")
    modules, = glob.glob(f"{image}/lib/modules/*") \
        + glob.glob(f"{image}/usr/lib/modules/*")
    shutil.move(modules, f"{out}/modules")
    shutil.move(f"{headers}/usr/src/linux-headers-{version}",
                f"{out}/headers")
    moved = {f"/usr/src/linux-headers-{version}": f"{final}/headers"}
    for name, root, pattern in (
            ("common", common, "usr/src/linux-headers-*-common"),
            ("kbuild", kbuild, "usr/lib/linux-kbuild-*")):
        folder, = glob.glob(f"{root}/{pattern}")
        moved[folder[len(root):]] = f"{final}/{name}"
        shutil.move(folder, f"{out}/{name}")
    # Their links and makefiles name the places the packages install to.
    for folder in ("headers", "common"):
        for name in ("scripts", "tools"):
            link = f"{out}/{folder}/{name}"
            if os.path.islink(link):
                os.unlink(link)
                os.symlink(f"{final}/kbuild/{name}", link)
    for path in (f"{out}/headers/Makefile",
                 f"{out}/headers/.kernelvariables"):
        if os.path.exists(path):
            _replace(path, moved)


def _replace(path, moved):
    """Replaces each of `moved` where it is followed by a slash."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for old, new in moved.items():
        text = text.replace(old + "/", new + "/")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def nested_kernel(job):
    """Debian's kernel for virtual machines, which has KVM: vmlinuz and
    modules/ (lib/modules/VERSION)."""
    image, = job.roots.values()
    vmlinuz, = glob.glob(f"{image}/boot/vmlinuz-*")
    shutil.move(vmlinuz, f"{job.out}/vmlinuz")
    modules, = glob.glob(f"{image}/lib/modules/*") \
        + glob.glob(f"{image}/usr/lib/modules/*")
    shutil.move(modules, f"{job.out}/modules")


def nested_qemu(job):
    """QEMU 10.0 or later, without a defect (qemu_defect.py): its program,
    and share/ with what it loads into a machine."""
    name = "qemu-system-x86_64"
    shutil.move(f"{job.roots['qemu-system-x86']}/usr/bin/{name}", job.out)
    if not qemu_defect.answer_yes(f"{job.out}/{name}"):
        say("nested-qemu: another QEMU than expected; its defect, if it has "
            "it still, stays")
    os.mkdir(f"{job.out}/share")
    for root in job.roots.values():
        for path in glob.glob(f"{root}/usr/share/qemu/*.bin"):
            shutil.copy(path, f"{job.out}/share")


class Recipe:
    """make: the function; packages: of Debian, or a function that asks apt
    for them; uses: other recipes; inputs: what else the result depends on, a
    file's or folder's content where it is a path; compiled: by the machine's
    gcc; backports: the releases that have the packages in their backports
    only; needed: what for, and what works without it."""

    def __init__(self, make, packages=(), uses=(), inputs=(), compiled=False,
                 backports=(), needed="it is part of every boot disk"):
        self.make = make
        self._packages = packages
        self.uses = uses
        self.inputs = inputs
        self.compiled = compiled
        self.backports = release() in backports
        self.needed = needed

    def fetched(self):
        """Whether it has packages of its own."""
        return bool(self._packages)

    def packages(self, apt):
        """The packages to fetch, the one that gives it its version first."""
        return self._packages(apt) if callable(self._packages) \
            else self._packages


def _linux_source():
    return [Package(f"linux-source-{series('linux')}")]


def _sqlite_packages(apt):
    """SQLite's shell and the libraries it wants."""
    names = ["sqlite3"]
    for name in apt.depends("sqlite3"):
        names += [name] + (apt.depends(name) if "readline" in name else [])
    return [Package(name) for name in dict.fromkeys(names)
            if name == "sqlite3" or name.startswith(("lib", "zlib"))]


def _root_part(job, program, libraries):
    """A part of a root: bin/PROGRAM, and what it is linked with."""
    lib = "lib/x86_64-linux-gnu"
    files = {f"{lib}/{name}": name for name in ("libc.so.6", *libraries)}
    files |= {f"bin/{program}": f"bin/{program}",
              "lib64/ld-linux-x86-64.so.2": "ld-linux-x86-64.so.2"}
    for target, name in files.items():
        found = [path for root in job.roots.values() for path in
                 glob.glob(f"{root}/**/{name}", recursive=True)
                 if os.path.isfile(path)]
        if not found:
            raise Failure(f"{program}'s packages hold no {name}")
        os.makedirs(os.path.dirname(f"{job.out}/{target}"), exist_ok=True)
        shutil.copy(found[0], f"{job.out}/{target}")


def sqlite(job):
    _root_part(job, "sqlite3", (
        "libm.so.6", "libreadline.so.8", "libsqlite3.so.0", "libtinfo.so.6",
        "libz.so.1"))


def git(job):
    _root_part(job, "git", ("libpcre2-8.so.0", "libz.so.1"))


def tar(job):
    """GNU tar, one static program, out/tar: with owners, holes, extended
    attributes and ACLs, for distributions that come and go in archives."""
    scratch, log = job.scratch, f"{job.scratch}/log"
    source, = glob.glob(f"{job.roots['tar']}/*.orig.tar.?z")
    run(["tar", "xf", source, "--strip-components=1", "-C", scratch])
    roots = [job.roots[f"lib{name}1-dev"] + "/usr" for name in
             ("acl", "attr")]
    say("building tar")
    # It refuses to be configured by root, who it thinks may err.
    env = dict(os.environ, FORCE_UNSAFE_CONFIGURE="1")
    run(["./configure", "--disable-nls", "--disable-dependency-tracking",
         "--without-selinux", "--with-posix-acls", "--with-xattrs",
         "CFLAGS=-O2",
         "CPPFLAGS=" + " ".join(f"-I{root}/include" for root in roots),
         "LDFLAGS=-static -s " + " ".join(
             f"-L{root}/lib/x86_64-linux-gnu" for root in roots)],
        log, env=env, cwd=scratch)
    run(["make", JOBS], log, cwd=scratch)
    with open(f"{scratch}/config.h", encoding="utf-8") as f:
        text = f.read()
    for name in ("HAVE_POSIX_ACLS", "HAVE_XATTRS"):
        if not re.search(rf"^#define {name}\b", text, re.M):
            raise Failure(f"tar was built without {name}")
    shutil.copy(f"{scratch}/src/tar", f"{job.out}/tar")


def mke2fs(job):
    """One static program, out/mke2fs, of the source that libext2fs is of: for
    images of distributions, which busybox' own makes without a journal."""
    scratch, log = job.scratch, f"{job.scratch}/log"
    shutil.copytree(job.get("ext2fs") + "/src", f"{scratch}/src",
                    symlinks=True)
    say("building mke2fs")
    run(["./configure", "--disable-nls", "--disable-uuidd", "--disable-fsck",
         "--disable-debugfs", "--disable-imager", "--disable-resizer",
         "--disable-defrag", "--disable-e2initrd-helper", "--disable-tls",
         "--disable-fuse2fs",
         "CFLAGS=-Os -w -ffunction-sections -fdata-sections",
         "LDFLAGS=-static -s -Wl,--gc-sections"], log, cwd=f"{scratch}/src")
    # Its rules build upon make's own, which our Makefile takes away.
    make = ["env", "-u", "MAKEFLAGS", "make"]
    # By itself first: with -j several would make this tool at once.
    run([*make, "-C", "util", "subst"], log, cwd=f"{scratch}/src")
    run([*make, JOBS, "libs"], log, cwd=f"{scratch}/src")
    run([*make, JOBS, "-C", "misc", "mke2fs"], log, cwd=f"{scratch}/src")
    shutil.copy(f"{scratch}/src/misc/mke2fs", f"{job.out}/mke2fs")


NESTED = "only the platforms nested-amd and nested-intel need it; " \
    "`make run` and all others work without"

RECIPES = {
    "newlib": Recipe(newlib, [Package("newlib-source")],
                     inputs=(TARGET_FLAGS,), compiled=True),
    "ext2fs": Recipe(ext2fs, [Package("e2fsprogs", source=True)],
                     uses=("newlib",), compiled=True,
                     inputs=(EXT2FS_LEFT_OUT, TARGET_FLAGS, COMPAT,
                             inspect.getsource(_ext2fs_headers))),
    "lwip": Recipe(lwip, [Package("lwip", source=True)]),
    "linux": Recipe(linux, lambda apt: _linux_source()),
    "libfdt": Recipe(libfdt, uses=("linux",)),
    "linux-build": Recipe(linux_build, uses=("linux",), compiled=True,
                          inputs=(KERNEL_CONFIG, KERNEL_LAYOUT, LZ4STORE,
                                  FAST)),
    "tar": Recipe(
        tar, [Package("tar", source=True), Package("libacl1-dev"),
              Package("libattr1-dev")], compiled=True,
        needed="only distributions need it; `make run` and all others work "
        "without"),
    "mke2fs": Recipe(
        mke2fs, uses=("ext2fs",), compiled=True,
        needed="only distributions need it; `make run` and all others work "
        "without"),
    "busybox": Recipe(busybox, [Package("busybox-static")]),
    "sqlite": Recipe(
        sqlite, _sqlite_packages, inputs=(inspect.getsource(_sqlite_packages),),
        needed="only a test of databases in Linux needs it; `make run` and "
        "all others work without"),
    "git": Recipe(
        git, [Package(name) for name in ("git", "libc6", "libpcre2-8-0",
                                         "zlib1g")],
        needed="only a test of resets needs it; `make run` and all others "
        "work without"),
    "debian-kernel": Recipe(
        debian_kernel, _kernel_packages,
        inputs=(inspect.getsource(_replace),),
        needed="only tests and figures with Debian's own kernel need it; "
        "`make run` and all others work without"),
    "nested-kernel": Recipe(
        nested_kernel, lambda apt: [Package(name) for name in
                                    apt.depends("linux-image-cloud-amd64")[:1]],
        needed=NESTED),
    # QEMU 7.2 lets no XSETBV of an AMD-V guest exit: KVM there never learns
    # what level 2 has put into XCR0, and takes it away at its next entry.
    "nested-qemu": Recipe(
        nested_qemu, [Package("qemu-system-x86"), Package("qemu-system-data")],
        inputs=(inspect.getsource(qemu_defect),), backports=("bookworm",),
        needed=NESTED),
}


def _files(path):
    if os.path.isdir(path):
        return sorted(p for p in glob.glob(f"{path}/**", recursive=True)
                      if os.path.isfile(p))
    return [path]


def key(name, used):
    """The hash in the name of a dependency's folder; `used`: the folders of
    the recipes that it uses."""
    recipe = RECIPES[name]
    digest = hashlib.sha256(inspect.getsource(recipe.make).encode())
    digest.update(release().encode())
    for folder in used:
        digest.update(os.path.basename(folder).encode())
    if recipe.compiled:
        digest.update(run(["gcc", "--version"]).splitlines()[0].encode())
    for item in recipe.inputs:
        if isinstance(item, str) and item.startswith(ROOT):
            for path in _files(item):
                if not os.path.exists(path):
                    raise Failure(f"{name} needs {path}, which is not there")
                with open(path, "rb") as f:
                    digest.update(f.read())
        else:
            digest.update(repr(item).encode())
    return digest.hexdigest()[:12]
