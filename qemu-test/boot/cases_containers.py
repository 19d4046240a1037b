# SPDX-License-Identifier: MIT
"""Containers in a Debian: Docker's, Podman's, and what is used beside them.
docs/containers.md has the list."""

import fcntl
import http.client
import json
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import termios
import time

from isthmus_lib import mmdebstrap
from isthmus_lib.debian import release
from runner import QEMU, TOOL, Failed, case
from cases_distro import debian
from cases_net import free_port
from cases_sessions import Remote, until
from container_items import IMAGE, ITEMS, PREPARE, PREPARED

DOCKER = ("docker.io", "iptables", "busybox-static")
ALL = DOCKER + tuple("""docker-compose podman buildah fuse3 bindfs nftables
    strace gdb linux-perf bpftool uidmap slirp4netns fuse-overlayfs crun curl
    dbus-user-session""".split())
PATIENCE = 120          # seconds


def fetched(port):
    """What the web server at that port of this computer has, or None."""
    try:
        web = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        web.request("GET", "/")
        return web.getresponse().read()
    except (OSError, http.client.HTTPException):
        return None


def wait_for(t, what, function):
    end = time.monotonic() + PATIENCE
    while not function():
        t.check(time.monotonic() < end, what)
        time.sleep(0.5)


class Items:
    """What this computer must take part in; their names are the items'."""

    def __init__(self, t, there, web, api):
        self.t = t
        self.there = there
        self.web = web
        self.api = api

    def linux(self, script, pattern, user="root"):
        """A script in Linux; what it says has the pattern."""
        path = f"/tmp/script-{user}"
        self.there.run("--user", user, f"cat > {path}",
                       input=script.encode(), stdin=None)
        out = self.there.run("--user", user, f"cd; sh {path} 2>&1; :")
        out = out.decode("utf-8", "replace")
        self.t.check(re.search(pattern, out), f"it said {out!r}")

    def publish_tcp(self):
        self.linux("""docker run -d --name web -p 8080:80 base sh -c \
            'echo of a container > /index.html; exec httpd -f -h /'""", r"\w")
        wait_for(self.t, "nobody answers at the published port",
                 lambda: fetched(self.web) == b"of a container\n")
        self.linux("docker rm -f web", "web")
        self.t.check(fetched(self.web) is None, "it answers when it is gone")

    def publish_udp(self):
        self.linux("docker run -d --name udp -p 8080:9/udp base echoes 9",
                   r"\w")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect(("127.0.0.1", self.web))
            s.settimeout(2)

            def came_back():
                data = os.urandom(1200)
                try:
                    s.send(data)
                    return s.recv(2000) == data
                except OSError:
                    return False
            wait_for(self.t, "no datagram comes back", came_back)
        self.linux("docker rm -f udp", "udp")

    def bind(self):
        self.linux(*ITEMS["bind"][1:])
        self.t.check("of a container\n" in self.there.console.run("cat /back"),
                     "the host does not see what a container wrote")

    def sockets(self):
        """A container's socket under /mnt/host, from the host's console, and
        the host's own, from a container."""
        self.linux(*ITEMS["sockets"][1:])
        wait_for(self.t, "the console cannot connect to a container",
                 lambda: self.there.console.run("connect /cs w") ==
                 "you are 0:0\n")
        self.linux("docker rm -f serves", "serves")

    def exec_it(self):
        """A terminal in a container is as large as the one here."""
        self.linux("docker run -d --name term base sleep 1000", r"\w")
        pid, fd = pty.fork()
        if pid == 0:
            os.environ["TERM"] = "vt100"
            os.execv(TOOL, self.there.command("--tty",
                                              "docker exec -it term sh"))
        size = struct.pack("4H", 30, 100, 0, 0)
        fcntl.ioctl(fd, termios.TIOCSWINSZ, size)
        until(self.t, fd, rb"# ")
        os.write(fd, b"until stty size | grep -x '30 100'; do sleep 1; done\n")
        until(self.t, fd, rb"\n30 100\r?\n")
        size = struct.pack("4H", 41, 121, 0, 0)
        fcntl.ioctl(fd, termios.TIOCSWINSZ, size)
        os.write(fd, b"until stty size | grep -x '41 121'; do sleep 1; done\n")
        until(self.t, fd, rb"\n41 121\r?\n")
        os.write(fd, b"exit 6\n")
        until(self.t, fd, rb"exit 6\r?\n")
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(fd)
        self.t.check(status == 6, f"it ended with status {status}")
        self.linux("docker rm -f term", "term")

    def docker_host(self):
        """Docker's client here, if there is one; else what it would ask."""
        self.linux("docker run -d --name far base sleep 1000", r"\w")
        if shutil.which("docker"):
            said = self.t.tool(
                ["docker", "ps", "--format", "{{.Names}}"],
                env={**os.environ, "DOCKER_API_VERSION": "1.41",
                     "DOCKER_HOST": f"tcp://127.0.0.1:{self.api}"}).split()
        else:
            api = http.client.HTTPConnection("127.0.0.1", self.api,
                                             timeout=PATIENCE)
            api.request("GET", "/containers/json")
            said = [one["Names"][0].strip("/")
                    for one in json.loads(api.getresponse().read())]
        self.t.check("far" in said, f"docker ps says {said}")
        self.linux("docker rm -f far", "far")

    def all(self):
        """Runs each; returns {item: what is wrong}."""
        own = {"publish-tcp": self.publish_tcp, "bind": self.bind,
               "sockets": self.sockets,
               "publish-udp": self.publish_udp, "exec-it": self.exec_it,
               "docker-host": self.docker_host}
        wrong = {}
        for name in [*own, *(n for n in ITEMS if n not in own)]:
            try:
                if name in own:
                    own[name]()
                else:
                    user, script, pattern = ITEMS[name]
                    self.linux(script, pattern, user)
            except Failed as reason:
                wrong[name] = str(reason)
        return wrong


def manifest(t):
    """The default one, with sockets to and from Linux."""
    with open("boot/isthmus.dts", encoding="utf-8") as f:
        text = f.read()
    for node, line in (("chosen", 'host-socket = "/hs";'),
                       ("\t\tlinux", 'sockets = "offer connect";')):
        text = text.replace(node + " {", f"{node} {{ {line}", 1)
    path = t.path("sockets.dts")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def machine(t, packages, memory):
    """A machine with a Debian with these packages; returns Items."""
    debian(t, {c: n for n, c in mmdebstrap.RELEASES.items()}[release()],
           packages)
    share = t.path("share")
    os.makedirs(share)
    for program in ("echoes", "uring", "counts", "unixes"):
        shutil.copy(t.guest_program(program), share)
    web, api = free_port(), free_port()
    there = Remote(t, "--manifest", manifest(t), "--distro", "debian",
                   "--user", "root", "--memory", memory,
                   "--nic", "virtio", "--share", share,
                   "--forward", f"{web}:8080", "--forward", f"{api}:2375",
                   timeout=1500)
    return Items(t, there, web, api)


@case("containers-all", "26 items: Docker, Podman, buildah, FUSE, tracing, "
      "docs/containers.md", only=QEMU, why="its network is QEMU's")
def containers_all(t):
    try:
        items = machine(t, ALL, "2048")
        items.linux(PREPARE, PREPARED)
        wrong = items.all()
        t.check(not wrong, "\n".join(f"{n}: {w}" for n, w in wrong.items()))
        items.there.console.send("poweroff")
        t.check(items.there.console.finish() == 0, "it did not end well")
    finally:
        shutil.rmtree(t.path("data"), ignore_errors=True)


@case("docker", "Docker in a Debian: a container, and its published port "
      "from outside", only=QEMU, why="its network is QEMU's")
def docker(t):
    try:
        items = machine(t, DOCKER, "1024")
        items.linux(IMAGE, r"^sha256:")
        items.linux(*ITEMS["run"][1:])
        items.publish_tcp()
        items.sockets()
    finally:
        shutil.rmtree(t.path("data"), ignore_errors=True)
