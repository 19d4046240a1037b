# SPDX-License-Identifier: MIT
#
# cp -a, rsync -aX and tar of a Debian root and of everything a file can have;
# every attribute of the copy must be the original's.
cd "$1" || exit
# All in a tree: kinds, rights, owners, times, links, attributes, ACLs, sums.
# rsync keeps times of regular files only here, whatever the file system.
all() (
	cd "$1" && find . -mindepth 1 -type d -printf "%P %y %m %U %G $times\n" -o \
		-type f -printf '%P %y %m %U %G %n %s %T@\n' -o \
		-printf "%P %y %m %U %G %n %s $times %l\n" | sort
	find . -print0 | sort -z | xargs -0 getfattr -h -d -m - 2>&1
	find . ! -type l -print0 | sort -z | xargs -0 getfacl -pn 2>&1
	find . -type f -print0 | sort -z | xargs -0 md5sum
)
times=%T@
same() {
	all "$2" >/tmp/copy
	if cmp -s /tmp/original /tmp/copy; then
		echo "ok $1"
	else
		echo "not ok $1"
		diff /tmp/original /tmp/copy | head -n 100
	fi
}
mkdir /tmp/special && cd /tmp/special || exit
mkdir dir sticky && chmod 1777 sticky && chmod 2750 dir && chown 7:8 dir
echo text >plain && ln plain linked && ln -s nowhere dangling
ln -s plain aged && touch -h -d @86400.123456789 aged
truncate -s 1M sparse && printf x | dd of=sparse bs=1 seek=500000 conv=notrunc 2>&1 |
	grep -v records | grep -v copied
mkfifo fifo && mknod null c 1 3 && mknod loop b 7 0
perl -MSocket -e 'socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un("sock"))'
cp /bin/true suid && chown 1:2 suid && chmod 6755 suid
cp /bin/true able && setcap cap_net_raw+ep able
echo acl >acl && setfacl -m u:1000:rw,g:2000:r acl
setfacl -m u:1000:rwx -d -m u:1000:rwx dir
setfattr -n user.note -v "a value" plain
setfattr -n trusted.note -v root dir
touch -d "1950-03-04 05:06:07.123456789 UTC" old
touch -d "2300-03-04 05:06:07.987654321 UTC" late
touch -d "2038-01-19 03:14:08 UTC" plain
touch -- "$(printf 'name with\nnewline')" "$(printf '\303\244\377')" "-dash" "a b"
cd "$1" || exit
all /tmp/special >/tmp/original
cp -a /tmp/special s1 && same "cp -a of all kinds" s1
rsync -aXAH /tmp/special/ s2
times=
all /tmp/special >/tmp/original
same "rsync -aXAH of all kinds" s2
times=%T@
# tar writes no sockets, and does not believe in all times.
tar -C /tmp/special --xattrs --acls --xattrs-include='*' --exclude=./sock -cf - . |
	{ mkdir s3 && tar -C s3 --xattrs --acls --xattrs-include='*' \
		--warning=no-timestamp -xpf - 2>&1 | grep -v implausibly; }
rm -f /tmp/special/sock
all /tmp/special >/tmp/original
same "tar of all kinds" s3
cp -a s1 s4 && rm s4/sock && same "cp -a of the copy" s4
rm -rf /tmp/special s1 s2 s3 s4
# The Debian root: what is installed, some 7,000 files.
mkdir /tmp/root && mount --bind / /tmp/root && cd /tmp/root || exit
tar -cf /tmp/root.tar --exclude=./tmp --exclude=./mnt --exclude=./xfstests \
	--exclude=./pjdfstest --exclude=./local.ext4 --exclude=./out \
	--exclude=./usr/share/perl --exclude=./dev --exclude=./proc \
	--exclude=./sys --exclude=./usr/lib/git-core .
cd "$1" && umount /tmp/root && mkdir r0 && tar -C r0 -xpf /tmp/root.tar
rm /tmp/root.tar
mkdir /tmp/r && mount -t tmpfs r /tmp/r && cp -a r0 /tmp/r/r && rm -rf r0
find /tmp/r/r ! -type d | wc -l
all /tmp/r/r >/tmp/original
cp -a /tmp/r/r r1 && same "cp -a of a root" r1
rm -rf r1
rsync -aXH /tmp/r/r/ r2
times=
all /tmp/r/r >/tmp/original
same "rsync -aXH of a root" r2
rm -rf r2
umount /tmp/r && rmdir /tmp/r /tmp/root
rm -f /tmp/original /tmp/copy
