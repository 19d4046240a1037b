# SPDX-License-Identifier: MIT
#
# 100,000 names in one folder.
cd "$1" || exit
mkdir many && cd many || exit
seq 100000 | xargs touch 2>&1 | head -n 3
ls -f | wc -l
ls | md5sum
find . -type f -size 0 | wc -l
perl -e 'for (1 .. 5000) { rename($_, "moved$_") or die "rename $_: $!" }'
perl -e 'for (5001 .. 10000) { link($_, "linked$_") or die "link $_: $!" }'
ls -f | wc -l
# Removed while it is listed: each that stays is seen, and none twice.
perl -e 'opendir(D, ".") or die; my %seen; while (defined($_ = readdir D)) {
	next if /^\./; print "twice: $_\n" if $seen{$_}++;
	unlink($_) if /[13579]$/ }
	print scalar(keys %seen), "\n"'
ls | md5sum
cd .. && rm -rf many && ls
