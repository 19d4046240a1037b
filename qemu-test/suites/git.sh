# SPDX-License-Identifier: MIT
#
# git: a repository with a history; clone, gc, rebase, checkouts, worktrees;
# and what fsck says of each.
cd "$1" || exit
export GIT_AUTHOR_DATE="1700000000 +0000" GIT_COMMITTER_DATE="1700000000 +0000"
git config --global user.name Tester
git config --global user.email tester@example.org
git config --global init.defaultBranch main
git config --global gc.autoDetach false
git init -q work && cd work || exit
cp -r /usr/share/perl/5.*.*/[A-M]* .
git add . && git commit -qm "all at once"
for i in $(seq 12); do
	mkdir -p some/$((i % 5))
	echo "line $i" >>some/$((i % 5))/file$i
	echo "$i" >>common
	git add . && git commit -qm "change $i"
done
git log --format=%H | md5sum
git checkout -q -b topic HEAD~8
for i in $(seq 4); do
	echo "topic $i" >topic$i
	git add . && git commit -qm "topic $i"
done
git rebase -q main
git log --format=%T | md5sum
git fsck --full --strict
cd .. && git clone -q work copy && git clone -q --no-hardlinks work other
git -C work gc -q --prune=now
git -C copy gc -q && git -C copy repack -adq
for name in work copy other; do
	git -C $name fsck --full
	git -C $name status --short | head
	git -C $name rev-parse HEAD
done
cd work && git worktree add -q ../tree HEAD~3 && git -C ../tree status --short
git checkout -q HEAD~10 && git status --short && git checkout -q topic
git stash list && echo more >>common && git stash -q && git stash pop -q
git diff --stat
git ls-files -s | md5sum
cd .. && (cd work && git ls-files -z | xargs -0 md5sum) | md5sum
