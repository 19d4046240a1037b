# SPDX-License-Identifier: MIT
#
# SQLite: a database in WAL mode and one with a rollback journal, three writers
# and a reader each.
cd "$1" || exit
for mode in wal delete truncate persist; do
	sqlite3 $mode.db "pragma journal_mode = $mode;
		create table t (who integer, n integer, text text);"
	for who in 1 2 3; do
		for n in $(seq 60); do
			echo "insert into t values ($who, $n, hex(zeroblob($n)));"
		done | sqlite3 -cmd ".timeout 60000" $mode.db &
	done
	for n in $(seq 20); do
		sqlite3 -cmd ".timeout 60000" $mode.db \
			"pragma quick_check;" | grep -v ok
	done &
	wait
	sqlite3 $mode.db "select who, count(*), sum(n), sum(length(text)) from t
		group by who; pragma integrity_check; pragma journal_mode;"
	sqlite3 $mode.db "delete from t where n % 2; vacuum;
		select count(*), sum(n) from t; pragma integrity_check;"
	ls | grep $mode
done
