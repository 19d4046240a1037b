# SPDX-License-Identifier: MIT
"""What containers, and what people use beside them, must do in a Debian: what
each does in there, by whom, and a pattern of what it then says."""

IMAGE = """
mkdir -p /root/base/bin /root/base/tmp /root/base/etc; cd /root/base
for a in $(busybox --list); do ln -sf busybox bin/$a; done
cp --remove-destination /bin/busybox /mnt/host/echoes bin
tar -c . > /tmp/base.tar
docker import - base < /tmp/base.tar
"""
# Docker listens to TCP too; another image has Docker's client. A user's systemd
# is there for who begins a session after that.
PREPARE = """
mkdir -p /etc/systemd/system/docker.socket.d
printf '[Socket]\\nListenStream=2375\\n' \
	> /etc/systemd/system/docker.socket.d/tcp.conf
systemctl daemon-reload
systemctl stop docker.socket docker
systemctl start docker.socket docker
""" + IMAGE + """
cp /tmp/base.tar /home/anna
loginctl enable-linger anna
until [ -S /run/user/1000/bus ]; do sleep 1; done
cp --parents -L $(ldd /usr/bin/docker | grep -o '/[^ ]*') /usr/bin/docker .
tar -c . | docker import - tools
docker info -f 'cgroup {{.CgroupVersion}} {{.Driver}}'
"""
PREPARED = r"cgroup 2 overlay2"

ITEMS = {}              # name: (who, script, pattern)


def item(name, script, pattern, user="root"):
    ITEMS[name] = (user, script, pattern)


item("run", """
docker run --rm -h one base sh -c 'hostname; echo $$; exit 7'
echo status $?
docker run --rm base ls /root/base
echo status $?
""", r"^one\n1\nstatus 7\nls: /root/base: No such .*\nstatus 1\n$")

item("volume", """
docker volume create vol
docker run --rm -v vol:/data base sh -c 'echo kept > /data/f'
docker run --rm -v vol:/data base cat /data/f
docker run --rm base cat /data/f
docker volume rm vol
docker volume ls -q | wc -l
""", r"^vol\nkept\ncat: can't open '/data/f': No such .*\nvol\n0\n$")

item("bind", """
echo of Linux > /mnt/host/bound
docker run --rm -v /mnt/host:/h:ro base sh -c \
	'exec 2>&1; cat /h/bound; echo > /h/no'
docker run --rm -v /mnt/host:/h base sh -c 'echo of a container > /h/back'
""", r"^of Linux\nsh: can't create /h/no: Read-only file system\n$")

item("sockets", """
docker run -d --name serves -v /mnt/host:/h base /h/unixes serve s /h/cs \
	> /dev/null
docker run --rm -v /mnt/host/hs:/hs -v /mnt/host/unixes:/u base \
	/u line s /hs help | tail -n 1
""", r"^the server is 0:0\n$")

item("docker.sock", """
docker run -d --name seen base sleep 1000 > /dev/null
docker run --rm --name sees -v /var/run/docker.sock:/var/run/docker.sock \
	tools docker ps --format '{{.Names}}' | grep see
docker rm -f seen
""", r"^sees\nseen\nseen\n$")

item("build", """
mkdir -p /root/three; cd /root/three
echo local > local
cat > Dockerfile << EOF
FROM base AS one
RUN echo 1 > /one
FROM base AS two
COPY --from=one /one /two
RUN echo 2 >> /two
FROM base
COPY --from=two /two /three
COPY local /local
ENV A=b
USER 7:8
CMD ["sh", "-c", "cat /three /local; ls /one 2>&1; id -u; echo \\$A"]
EOF
docker build -q -t three . > /dev/null
docker run --rm three
""", r"^1\n2\nlocal\nls: /one: No such .*\n7\nb\n$")

# A computer that is slow is no failure.
item("compose", """
mkdir -p /root/comp; cd /root/comp
export COMPOSE_HTTP_TIMEOUT=1000
cat > docker-compose.yml << EOF
version: "2.4"
services:
  web:
    image: base
    depends_on:
      db: {condition: service_healthy}
    command: wget -qO- http://db/
  db:
    image: base
    command: sh -c 'sleep 3; echo ready > /index.html; exec httpd -f -h /'
    healthcheck:
      test: wget -qO- http://127.0.0.1/
      interval: 1s
      retries: 90
EOF
docker-compose up -d > up 2>&1 || cat up
docker wait comp_web_1 comp-web-1 2> /dev/null
docker-compose logs --no-color web
docker inspect -f 'db is {{.State.Health.Status}}' $(docker-compose ps -q db)
docker-compose down > down 2>&1 || cat down
docker network ls | grep -c comp
""", r"^0\n(?s:.*)\| ready\n(?s:.*)db is healthy\n0\n$")

item("logs-f", """
docker run -d --name talk base sh -c \
	'for i in 1 2 3 4 5; do sleep 1; echo line $i; done' > /dev/null
docker logs -f talk
docker wait talk > /dev/null
docker inspect -f '{{.State.Status}}' talk
docker rm talk
""", "^" + "".join(f"line {i}\n" for i in range(1, 6)) + "exited\ntalk\n$")

item("restart", """
docker run -d --name fails --restart on-failure:2 base sh -c \
	'echo begun; exit 3' > /dev/null
docker run -d --name always --restart always base sleep 1000 > /dev/null
kill -9 $(docker inspect -f '{{.State.Pid}}' always)
until [ $(docker inspect -f '{{.RestartCount}}' always) = 1 ]; do sleep 1; done
until docker inspect -f '{{.State.Status}}' always | grep running; do
	sleep 1
done
until docker inspect -f '{{.State.Status}}' fails | grep exited; do
	sleep 1
done
docker inspect -f '{{.RestartCount}} {{.State.ExitCode}}' fails
docker logs fails
docker rm -f fails always
""", r"^running\nexited\n2 3\nbegun\nbegun\nbegun\nfails\nalways\n$")

item("memory", """
docker run --name hog -m 32m base sh -c \
	'cat /sys/fs/cgroup/memory.max; x=a; while :; do x=$x$x; done'
echo status $?
docker inspect -f 'out of memory: {{.State.OOMKilled}}' hog
docker rm hog
""", r"33554432\nstatus 137\nout of memory: true\nhog\n$")

# Who holds a connection to it has his containers kept. -i: its nc would end
# the connection with its own input.
item("reaper", """
docker run -di --name reaper -v /var/run/docker.sock:/var/run/docker.sock \
	tools sh -c 'nc -l -p 9 > /dev/null;
	docker rm -f $(docker ps -aq --filter label=session=1)' > /dev/null
for i in 1 1 2; do
	docker run -d --label session=$i base sleep 1000 > /dev/null
done
there() { echo $(docker ps --format '{{.Label "session"}}' | sort); }
ip=$(docker inspect -f '{{.NetworkSettings.IPAddress}}' reaper)
there
until (sleep 5; there >&2) | busybox nc $ip 9; do sleep 1; done
docker wait reaper
there
docker rm -f reaper $(docker ps -q --filter label=session=2) | wc -l
""", r"^1 1 2\n(?:1 1 2\n)+0\n2\n2\n$")

# What it says besides, warnings too, is not what is expected; but for a limit
# it says that there is no swap.
item("podman-rootless", """
podman import -q base.tar base > /dev/null
podman run --rm base sh -c 'id -u; cat /proc/self/uid_map; echo > /tmp/f'
podman run -d --name web -m 64m -p 8081:80 base sh -c \
	'echo of podman > /index.html; exec httpd -f -h /' > /dev/null 2>&1
curl -s --retry 60 --retry-delay 1 --retry-all-errors http://127.0.0.1:8081/
ps -o user= -C conmon
podman exec web cat /sys/fs/cgroup/memory.max
podman rm -f -t 0 web | wc -l
""", r"^0\n +0 +1000 +1\n +1 +\d+ +65536\nof podman\nanna\n67108864\n1\n$",
     user="anna")

item("buildah", """
c=$(buildah from scratch)
buildah add -q $c /tmp/base.tar / > /dev/null
buildah run --network host $c -- sh -c 'echo built > /b'
buildah config --cmd 'cat /b' $c
buildah commit -q $c made > /dev/null
buildah rm $c > /dev/null
podman --log-level error run --rm --network host made
""", r"^built\n$")

item("fuse", """
mkdir -p /root/below /root/above
bindfs /root/below /root/above
cp -a /usr/share/perl /usr/lib/python3 /root/above
find /root/above -type f | wc -l
diff -r /usr/share/perl /root/below/perl && diff -r /usr/lib/python3 \
	/root/above/python3 && echo the same
findmnt -no FSTYPE /root/above
fusermount -u /root/above
ls /root/above | wc -l
""", r"^\d{3,}\nthe same\nfuse(?:.bindfs)?\n0\n$")

item("overlay", """
cd /root; mkdir -p up work over /mnt/host/low
echo low > /mnt/host/low/a; echo low > /mnt/host/low/b
mount -t overlay over -o lowerdir=/mnt/host/low,upperdir=up,workdir=work over
cat over/a
echo high >> over/a; rm over/b; echo new > over/c
cat over/a; ls over
umount over
cat /mnt/host/low/a; ls /mnt/host/low
""", r"^low\nlow\nhigh\na\nc\nlow\na\nb\n$")

item("nftables", """
nft add table inet t
nft add chain inet t c '{ type filter hook input priority 0; }'
nft add set inet t s '{ type inet_service; elements = { 7777 }; }'
nft add rule inet t c iif lo tcp dport @s counter reject with tcp reset
(echo there | busybox nc -l -p 7777) & sleep 1
busybox nc 127.0.0.1 7777 < /dev/null || echo refused
nft list table inet t | grep -o 'packets [1-9]'
nft delete table inet t
busybox nc 127.0.0.1 7777 < /dev/null
""", r"refused\npackets 1\nthere\n$")

item("user-namespace", """
id -u
unshare -Urmpf --mount-proc sh -c \
	'id -u; mount -t tmpfs none /mnt && stat -fc %T /mnt; echo $$; chown 5 /mnt'
unshare -Ur cat /etc/shadow
""", r"^1000\n0\ntmpfs\n1\nchown: .*Invalid argument\ncat: .*denied\n$",
     user="anna")

item("strace", """
strace -f -o trace -e trace=execve,openat,exit_group sh -c \
	'cat /etc/debian_version'
grep -c 'execve("/.*cat", .*= 0' trace
grep -c 'openat(AT_FDCWD, "/etc/debian_version", O_RDONLY) = 3' trace
grep -c 'exited with 0' trace
""", r"^12\.\d+\n1\n1\n2\n$", user="anna")

item("gdb", """
gdb -q -nx -batch -ex starti -ex 'stepi 500' -ex 'info registers rip' \
	-ex 'tbreak exit' -ex 'catch syscall exit_group' -ex continue \
	-ex kill /bin/true
""", r"rip +0x[0-9a-f]+ .*(?s:.*)exit_group", user="anna")

item("perf", """
perf stat -x, -e task-clock,page-faults,context-switches,cpu-migrations \
	sleep 0.1
""", r"^[\d.]+,msec,task-clock(?s:.*)\n[1-9]\d*,,page-faults(?s:.*)"
     r"\n[1-9]\d*,,context-switches(?s:.*)\n\d+,,cpu-migrations")

item("io_uring", "/mnt/host/uring ring",
     r"^written 64, read 64, the same 64\n$", user="anna")

# bpftool would like types of the kernel's (BTF), which ours has none of.
item("ebpf", """
/mnt/host/counts
docker run -d --name devices base sleep 1000 > /dev/null
bpftool cgroup tree /sys/fs/cgroup 2> /dev/null | grep -c device
docker rm -f devices
docker run --rm base sh -c 'mknod /x b 7 0; cat /x'
""", r"^counted 10, passed 5 of 10\n[1-9]\d*\ndevices\n"
     r"cat: .*Operation not permitted\n$")
