# SPDX-License-Identifier: MIT
"""How each dependency is fetched, checked and built; see tools/deps.

A recipe gets (maker, out, scratch, final): it fills `out`, may use `scratch`,
and `final` is the path that `out` will have, for files that must name it.
"""

import glob
import hashlib
import inspect
import os
import re
import shutil

from isthmus_lib.common import ROOT, Failure, run, say

JOBS = f"-j{os.cpu_count() or 1}"

# Pins: version and SHA-256 of every file that is fetched.
NEWLIB = ("newlib-source", "3.3.0-1.3+deb12u1",
          "b9a825a86064e6ffd1f8d1b91a3f7c6a5baf3ab3d246e5ed132ba22c42f6fef1")
LINUX = ("linux-source-6.1", "6.1.192-2",
         "ae95fe63d4c553f8d0e6c86cb1ab566f3894a43743eb19ab585cd97d82f26514")
BUSYBOX = ("busybox-static", "1:1.35.0-4+deb12u1+b1",
           "3d3fdbe91d4660c873e14b092c213fe81c1da6362daa236eb25d0171eb108744")
E2FSPROGS = ("e2fsprogs", "1.47.0-2", "e2fsprogs_1.47.0.orig.tar.gz",
             "6667afde56eef0c6af26684974400e4d2288ea49e9441bf5e6229195d51a3578")
KERNEL_ABI = "6.1.0-56"
DEBIAN_KERNEL = (
    (f"linux-image-{KERNEL_ABI}-amd64", "6.1.192-2",
     "a86e2049672f52354c4536a089203b6c82639420424d31c91cf31a181fd4d8f1"),
    (f"linux-headers-{KERNEL_ABI}-amd64", "6.1.192-2",
     "796a7b4584d7a57f97913e34e80a2fcce96b6c5016fa9d4fc2212a93e4868677"),
    (f"linux-headers-{KERNEL_ABI}-common", "6.1.192-2",
     "509e776de8353799a53f4b14d29e87863aac2b7ee9264544bc2821461a853930"),
    ("linux-kbuild-6.1", "6.1.192-2",
     "7e852381f1c455a439230ea3261e3669f2307afdbed57db0fc08ed8ffa689f60"),
)

# Freestanding code for the host partition. The machine's gcc is told that it
# is not on Linux and finds no header but newlib's and its own.
TARGET_FLAGS = [
    "-O2", "-mno-red-zone", "-fno-pic", "-fno-pie", "-mcmodel=small",
    "-fno-stack-protector", "-fcf-protection=none", "-ffunction-sections",
    "-fdata-sections", "-U__linux__", "-U__linux", "-Ulinux",
    "-U__gnu_linux__", "-U__unix__", "-U__unix", "-Uunix", "-nostdinc"]
COMPAT = os.path.join(ROOT, "host-bridge", "compat")
KERNEL_CONFIG = os.path.join(ROOT, "guest", "kernel.config")
LZ4STORE = os.path.join(ROOT, "guest", "lz4store.c")
# What every read, write, look-up, packet and switch of processes runs through
# is compiled for speed: 290 of the 6,800 instructions of a round trip through
# pipes. This replaces the flags that the kernel's makefiles have for files of
# these names; none matters without stack protector, tracing and ORC tables.
FAST = ("af_vsock build_policy build_utility client common core dcache fair "
        "fid file inode ioprio iov_iter mutex namei open pipe process_64 "
        "protocol read_write slub socket sock stat timekeeping tlb vfs_dentry "
        "vfs_file vfs_inode vfs_inode_dotl virtio_transport_common wait "
        "xarray").split()


def _gcc_headers():
    return run(["gcc", "-print-file-name=include"]).strip()


def _unpack_deb(maker, pin, scratch):
    """A pinned binary package, unpacked; returns the folder."""
    path = maker.apt.deb(*pin, into=scratch)
    folder = os.path.join(scratch, pin[0] + ".root")
    run(["dpkg-deb", "-x", path, folder])
    os.unlink(path)
    return folder


def newlib(maker, out, scratch, final):
    """The C library of the host partition: include/ and lib/."""
    root = _unpack_deb(maker, NEWLIB, scratch)
    tar, = glob.glob(f"{root}/usr/src/newlib/*.tar.xz")
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


def ext2fs(maker, out, scratch, final):
    """libext2fs and libcom_err on newlib: include/ lib/ and src/ (whole,
    as the LGPL wants it)."""
    package, version, tar, digest = E2FSPROGS
    maker.apt.source(package, version, {tar: digest}, scratch)
    src, log = f"{out}/src", f"{scratch}/log"
    os.mkdir(src)
    run(["tar", "xf", f"{scratch}/{tar}", "--strip-components=1", "-C", src])
    include, lib = f"{out}/include", f"{src}/lib"
    for sub in ("ext2fs", "et"):
        os.makedirs(f"{include}/{sub}")
        for path in glob.glob(f"{lib}/{sub}/*.h"):
            shutil.copy(path, f"{include}/{sub}")
    _ext2fs_headers(lib, include, scratch, version)
    flags = [*TARGET_FLAGS, "-w", "-DHAVE_CONFIG_H", f"-I{COMPAT}",
             f"-I{include}/ext2fs", f"-I{include}", f"-I{lib}",
             "-isystem", maker.get("newlib") + "/include",
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


def linux(maker, out, scratch, final):
    """The kernel's source tree."""
    root = _unpack_deb(maker, LINUX, scratch)
    say("unpacking the kernel's source")
    run(["tar", "xf", f"{root}/usr/src/linux-source-6.1.tar.xz",
         "--strip-components=1", "-C", out])


def libfdt(maker, out, scratch, final):
    """libfdt's C files and headers, compiled by each user."""
    folder = maker.get("linux") + "/scripts/dtc/libfdt"
    for path in glob.glob(f"{folder}/*.[ch]"):
        shutil.copy(path, out)


def _check_config(config, fragment):
    """Every symbol the fragment asks for must have got its value."""
    with open(config, encoding="utf-8") as f:
        got = dict(re.findall(r"^(CONFIG_\w+)=(.*)$", f.read(), re.M))
    with open(fragment, encoding="utf-8") as f:
        wanted = re.findall(r"^(CONFIG_\w+)=(.*)$", f.read(), re.M)
    lost = [f"{k}={v} (is {got.get(k, 'not set')})" for k, v in wanted
            if got.get(k, "n") != v]
    if lost:
        raise Failure("the kernel's configuration does not take these lines "
                      f"of {os.path.relpath(fragment, ROOT)}, a dependency "
                      "of each may be missing:\n  " + "\n  ".join(lost))


def linux_build(maker, out, scratch, final):
    """Our kernel: bzImage, config, build/ (for building modules against),
    modules/ (installed, if the configuration has any)."""
    source, build, log = maker.get("linux"), f"{out}/build", f"{scratch}/log"
    os.mkdir(build)
    env = dict(os.environ, KBUILD_BUILD_TIMESTAMP="2024-01-01",
               KBUILD_BUILD_USER="isthmus", KBUILD_BUILD_HOST="isthmus",
               KCONFIG_ALLCONFIG=KERNEL_CONFIG)
    run(["gcc", "-O2", "-o", f"{scratch}/lz4store", LZ4STORE])
    make = ["make", "-C", source, f"O={build}", "ARCH=x86_64",
            f"LZ4={scratch}/lz4store", *(f"CFLAGS_{n}.o=-O3" for n in FAST)]
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


def busybox(maker, out, scratch, final):
    """One static program, out/busybox."""
    root = _unpack_deb(maker, BUSYBOX, scratch)
    shutil.copy(f"{root}/bin/busybox", f"{out}/busybox")


def debian_kernel(maker, out, scratch, final):
    """Debian's own kernel: vmlinuz, modules/ (lib/modules/VERSION), and
    headers/ to build a module against (make -C headers M=...)."""
    roots = [_unpack_deb(maker, pin, scratch) for pin in DEBIAN_KERNEL]
    version = f"{KERNEL_ABI}-amd64"
    shutil.move(f"{roots[0]}/boot/vmlinuz-{version}", f"{out}/vmlinuz")
    shutil.move(f"{roots[0]}/lib/modules/{version}", f"{out}/modules")
    source = f"{roots[1]}/usr/src"
    shutil.move(f"{source}/linux-headers-{version}", f"{out}/headers")
    shutil.move(f"{roots[2]}/usr/src/linux-headers-{KERNEL_ABI}-common",
                f"{out}/common")
    shutil.move(f"{roots[3]}/usr/lib/linux-kbuild-6.1", f"{out}/kbuild")
    # Their links and makefiles name the places the packages install to.
    moved = {f"/usr/src/linux-headers-{version}": f"{final}/headers",
             f"/usr/src/linux-headers-{KERNEL_ABI}-common": f"{final}/common",
             "/usr/lib/linux-kbuild-6.1": f"{final}/kbuild"}
    for folder in ("headers", "common"):
        for name in ("scripts", "tools"):
            link = f"{out}/{folder}/{name}"
            if os.path.islink(link):
                os.unlink(link)
                os.symlink(f"{final}/kbuild/{name}", link)
    for path in (f"{out}/headers/Makefile",
                 f"{out}/headers/.kernelvariables"):
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                text = f.read()
            for old, new in moved.items():
                text = text.replace(old + "/", new + "/")
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)


RECIPES = {
    "newlib": newlib,
    "ext2fs": ext2fs,
    "linux": linux,
    "libfdt": libfdt,
    "linux-build": linux_build,
    "busybox": busybox,
    "debian-kernel": debian_kernel,
}

# What else a recipe's result depends on: pins, other recipes, input files.
INPUTS = {
    "newlib": (NEWLIB, TARGET_FLAGS),
    "ext2fs": (E2FSPROGS, EXT2FS_LEFT_OUT, TARGET_FLAGS, "newlib", COMPAT,
               inspect.getsource(_ext2fs_headers)),
    "linux": (LINUX,),
    "libfdt": ("linux",),
    "linux-build": ("linux", KERNEL_CONFIG, LZ4STORE, FAST),
    "busybox": (BUSYBOX,),
    "debian-kernel": (DEBIAN_KERNEL,),
}


def _files(path):
    if os.path.isdir(path):
        return sorted(p for p in glob.glob(f"{path}/**", recursive=True)
                      if os.path.isfile(p))
    return [path]


def key(name):
    """The hash in the name of a dependency's folder."""
    digest = hashlib.sha256(inspect.getsource(RECIPES[name]).encode())
    for item in INPUTS[name]:
        if isinstance(item, str) and item in RECIPES:
            digest.update(key(item).encode())
        elif isinstance(item, str) and item.startswith(ROOT):
            for path in _files(item):
                if not os.path.exists(path):
                    raise Failure(f"{name} needs {path}, which is not there")
                with open(path, "rb") as f:
                    digest.update(f.read())
        else:
            digest.update(repr(item).encode())
    return digest.hexdigest()[:12]
