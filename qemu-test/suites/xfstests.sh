# SPDX-License-Identifier: MIT
#
# xfstests: its generic tests of the group quick, as far as they need no second
# file system; or those whose number begins with the second word.
where=$(dirname "$1")
source=$(awk -v at="$where" '$2 == at { print $1, $3 }' /proc/mounts | tail -n 1)
type=${source#* } source=${source% *}
cd /xfstests || exit
# The scripts know virtiofs, which is mounted as ours is; so ours is put in the
# place of that name.
if [ "$type" = isthmus ] && [ ! -e .renamed ]; then
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
# What serve.c serves.
export FUSE_SUBTYP=
test "$type" != fuse || FUSE_SUBTYP=.serve
# They fill the whole file system with four processes: hours on an emulator.
printf '%s\n' generic/2{69,70} >excluded
./check -E excluded $(awk -v part="${2:-[0-9]}" '/ quick/ && $1 ~ "^" part {
	print "generic/" $1 }' tests/generic/group.list) 2>&1 | sed -n \
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
# It leaves it unmounted.
mountpoint -q "$where" || mount -t "$type$FUSE_SUBTYP" "$source" "$where"
mkdir -p "$1"
