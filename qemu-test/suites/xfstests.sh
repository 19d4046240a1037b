# SPDX-License-Identifier: MIT
#
# xfstests: its generic tests of the group quick, or those whose number begins
# with the second word (0, 2+31+436). On a machine without those that need a
# second file system.
where=$(dirname "$1")
source=$(awk -v at="$where" '$2 == at { print $1, $3 }' /proc/mounts | tail -n 1)
type=${source#* } source=${source% *}
cd /xfstests || exit
# The scripts know virtiofs, which is mounted as ours is; so ours is put in the
# place of that name; but that virtiofs opens nothing by handle is not true of it.
if [ "$type" = isthmus ] && [ ! -e .renamed ]; then
	sed -i '/\[ $FSTYP == "virtiofs" \] && *\\$/,+1d' common/rc
	grep -rlZ virtiofs check common tests/generic |
		xargs -0 sed -i "s/virtiofs/$type/g"
	touch .renamed
fi
rmdir "$1"
cat >local.config <<END
FSTYP=$type
TEST_DEV=$source
TEST_DIR=$where
END
# What serve.c serves. Where that is there is room for a second one, too.
export FUSE_SUBTYP=
test "$type" != fuse || FUSE_SUBTYP=.serve
scratch=/images/scratch.ext4
if [ -d /images ]; then
	truncate -s 600M $scratch
	mke2fs -q -F -t ext4 -b 4096 -i 8192 -m 0 -O ^has_journal $scratch
	test "$type" = fuse && device=$scratch ||
		device=$(losetup -f --show $scratch)
	mkdir -p /scratch
	printf 'SCRATCH_DEV=%s\nSCRATCH_MNT=/scratch\n' $device >>local.config
fi
# They fill the whole file system with four processes: hours on an emulator.
printf '%s\n' generic/2{69,70} >excluded
part=$(echo "${2:-[0-9]}" | tr + '|')
./check -E excluded $(awk -v part="^($part)" '/ quick/ && $1 ~ part {
	print "generic/" $1 }' tests/generic/group.list) 2>&1 | sed -un \
	-e 's/^\(generic\/[0-9]*\) .*\[not run\] *\(.*\)/not run \1: \2/p' \
	-e 's/^\(generic\/[0-9]*\) .*\[expunged\].*/excluded \1/p' \
	-e 's/^\(generic\/[0-9]*\) .*\(\[failed.*\|- output.*\|_check.*\)/not ok \1 \2/p' \
	-e 's/^\(generic\/[0-9]*\) *\([0-9]*s \.\.\.\)* *[0-9]*s$/ok \1/p'
for bad in results/generic/*.out.bad; do
	test -e "$bad" || continue
	test=$(basename "$bad" .out.bad)
	echo "== generic/$test"
	diff tests/generic/$test.out "$bad" | head -n 20
done
rm -rf results
if [ -d /images ]; then
	mountpoint -q /scratch && umount /scratch
	if [ "$type" = fuse ]; then
		flock $scratch e2fsck -fn $scratch >/tmp/log 2>&1 || cat /tmp/log
	else
		losetup -d $device
	fi
	rm $scratch
fi
# It leaves it unmounted.
mountpoint -q "$where" || mount -t "$type$FUSE_SUBTYP" "$source" "$where"
mkdir -p "$1"
