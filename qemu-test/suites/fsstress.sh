# SPDX-License-Identifier: MIT
#
# fsstress: every operation at random, four processes at once; then one
# process, whose tree must be the same on both file systems.
cd "$1" || exit
stress=/xfstests/ltp/fsstress
mkdir four one
$stress -d four -p 4 -n 10000 -s 1 >/dev/null 2>out &&
	echo "ok four processes" || { echo "not ok four processes"; cat out; }
find four -printf '' || echo "not ok find"
rm -rf four || echo "not ok rm"
# Without what Linux does not ask any FUSE server for.
$stress -d one -p 1 -n 10000 -s 7 -f collapse=0 -f insert=0 -f rwhiteout=0 \
	>/dev/null 2>out &&
	echo "ok one process" || { echo "not ok one process"; cat out; }
# The size of a folder is a file system's own matter.
find one -type d -printf '%P %y %m %U %G\n' -o \
	-printf '%P %y %m %U %G %n %s %l\n' | sort
find one -type f -print0 | sort -z | xargs -0 md5sum
