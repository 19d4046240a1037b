# SPDX-License-Identifier: MIT
# Tests of the journal, with e2fsprogs as the second opinion.
UNIT_TESTS += journal_recover
journal_recover_SRCS := qemu-test/unit/journal_recover_test.c \
	qemu-test/unit/journal_fixture.c \
	$(addprefix host-bridge/fs/jbd2/jbd2_,recover.c super.c)
