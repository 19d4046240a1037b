# SPDX-License-Identifier: MIT
#
# The file system is full: the error is the right one, nothing else is lost,
# and when there is room again all goes on.
cd "$1" || exit
echo before >before
sync
dd if=/dev/zero of=big bs=1M 2>&1 | grep -o 'No space.*'
dd if=/dev/zero of=more bs=4k count=100 conv=fsync 2>&1 | grep -o 'No space.*'
echo x >small 2>&1 || echo "small: $?"
df . | awk 'NR == 2 { print ($4 < 300 ? "full" : "not full: " $4) }'
cat before
# Written before it was full, changed now: there is room for that.
printf BEFORE | dd of=before conv=notrunc,fsync 2>&1 | grep -v records |
	grep -v copied
cat before
perl -e 'open(F, ">>", "before"); print F "x" x 100000; close(F) or print "$!\n"'
fallocate -l 10M room 2>&1 | grep -o 'No space.*'
sqlite3 db "create table t (a); insert into t values (zeroblob(1000000));" 2>&1
rm -f big more small room before db db-journal
sync
sqlite3 db "create table t (a); insert into t values (zeroblob(1000000));
	select length(a) from t; pragma integrity_check;" 2>&1
rm db
dd if=/dev/zero of=again bs=1M count=200 conv=fsync 2>&1 |
	grep -v records | grep -v copied
stat -c %s again
rm again
# No inodes left.
mkdir inodes && cd inodes || exit
perl -e 'for (1 .. 1000000) { if (!open(F, ">", $_)) { print "$!\n"; last } }'
mkdir dir 2>&1 | grep -o 'No space.*'
ln -s x link 2>&1 | grep -o 'No space.*'
mkfifo fifo 2>&1 | grep -o 'No space.*'
df -i . | awk 'NR == 2 { print $4 }'
cd .. && rm -rf inodes
mkdir dir && touch dir/file && ls dir
rm -r dir
# As much is free as before.
ls -A
