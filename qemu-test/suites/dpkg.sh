# SPDX-License-Identifier: MIT
#
# dpkg and apt in a root that is on the file system.
cd "$1" || exit
mkdir root && tar -C / -cf - bin sbin lib lib64 etc usr/bin usr/sbin usr/lib usr/lib64 \
	usr/share/perl5 usr/share/dpkg usr/share/debconf var/lib/dpkg \
	var/lib/apt var/cache debs | tar -C root -xpf - 
mkdir -p root/tmp root/dev root/proc root/var/log/apt root/root root/run \
	root/var/tmp root/usr/share/doc root/usr/share/man
cp -a /dev/null root/dev
dpkg --root="$1/root" --verify 2>&1 | grep -v ' /usr/share\| /usr/include' |
	md5sum
chroot root sh -c 'dpkg -i /debs/*.deb' 2>&1 | grep -v "^(Reading"
chroot root sh -c 'dpkg -s less ed | grep ^Status'
chroot root sh -c 'echo hello | less; printf "1p\n" | ed -s /etc/hostname'
chroot root sh -c 'dpkg -V less ed'
chroot root sh -c 'apt-get -qq -y --no-download remove less </dev/null' 2>&1 |
	grep -v "^(Reading"
# From a repository of files, as apt-get install takes it.
chroot root sh -c 'DEBIAN_FRONTEND=noninteractive apt-get -qq -y install \
	/debs/less*.deb </dev/null' 2>&1 | grep -v "^(Reading"
chroot root sh -c 'dpkg -s less | grep ^Status; dpkg --audit; ls /var/lib/dpkg'
chroot root sh -c 'cat /var/lib/dpkg/info/less.list' | md5sum
