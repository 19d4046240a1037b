# SPDX-License-Identifier: MIT
#
# fsx: random reads, writes, maps, cuts, holes and copies of one file, checked
# against memory.
fsx=/xfstests/ltp/fsx
cd "$1" || exit
try() {
	what=$1
	shift
	if $fsx -q "$@" file >out 2>&1; then
		echo "ok $what"
	else
		echo "not ok $what"
		head -n 100 out
	fi
	rm -f file*
}
try "as it comes" -N 100000 -S 1
try "small and aligned" -N 20000 -S 2 -r 4096 -w 4096 -t 4096
try "O_DIRECT" -N 20000 -S 3 -Z -r 4096 -w 4096 -t 4096
try "few large ones" -N 5000 -S 4 -l 4000000 -o 500000
try "closed and opened again" -N 20000 -S 5 -c 50
try "msync and invalidated" -N 20000 -S 6 -m 0:65536
