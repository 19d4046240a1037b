# SPDX-License-Identifier: MIT
#
# 200 processes at once, each with files of its own and all with one folder,
# one file and one lock.
cd "$1" || exit
mkdir common
echo 0 >counter
cat >/tmp/work.pl <<'END'
use Fcntl qw(:flock SEEK_SET);
my $me = shift;
mkdir "own$me" or die "mkdir: $!";
for my $i (1 .. 6) {
	open(my $f, ">", "own$me/$i") or die "open: $!";
	print $f "$me $i\n" x 100;
	close $f or die "close: $!";
	rename "own$me/$i", "common/$me-$i" or die "rename: $!";
	open(my $c, "+<", "counter") or die "counter: $!";
	flock($c, LOCK_EX) or die "flock: $!";
	my $n = <$c>;
	seek($c, 0, SEEK_SET);
	print $c $n + 1, "\n";
	close $c;
	open(my $l, ">>", "log") or die "log: $!";
	syswrite($l, sprintf("%08d\n", $me * 100 + $i)) == 9 or die "log: $!";
	close $l;
	unlink "common/$me-$i" or die "unlink: $!" if $i % 2;
}
rmdir "own$me" or die "rmdir: $!";
END
for me in $(seq 200); do
	perl /tmp/work.pl $me &
done
wait
cat counter
ls common | wc -l
cat common/* | sort | md5sum
sort log | md5sum
wc -l <log
ls
