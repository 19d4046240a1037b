# SPDX-License-Identifier: MIT
# One front door: `make run`, `make test`, `make help`. Each part's build.mk
# names its own outputs under build/PART/ and adds what a boot disk needs to
# ARTIFACTS, what only tests and figures need to TEST_ARTIFACTS.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
# A link in build/deps is as new as itself: what it names may be older.
MAKEFLAGS += --no-builtin-rules --check-symlink-times
.DEFAULT_GOAL := help

PARTS := text boot doctor hypervisor host-bridge guest
ARTIFACTS := build/boot/BOOTX64.EFI build/doctor/DOCTOR.EFI \
	build/hypervisor/hypervisor.elf \
	build/host-bridge/host-bridge.elf build/guest/bzImage \
	build/guest/initrd.cpio
TEST_ARTIFACTS :=
# Where it cannot be had, the tests that want it are skipped and say so.
OPTIONAL_ARTIFACTS := build/deps/nested-kernel build/deps/nested-qemu \
	build/deps/sqlite build/deps/git
CHECKS :=
# On a bare machine there is nothing yet to ask about flags.
ifneq ($(shell command -v cc),)
-include $(foreach part,$(PARTS),$(part)/build.mk)
endif

# Asked every time, answered quickly: a changed recipe makes a new folder and
# a newer link, and what uses it is built again.
$(addprefix build/deps/,newlib ext2fs lwip linux libfdt linux-build busybox \
	tar mke2fs sqlite git debian-kernel nested-kernel nested-qemu): \
		build/deps/%: FORCE
	@tools/deps $* >/dev/null
FORCE:

.PHONY: all tests run test check unit boot-test bench image clean help \
	update setup-run setup-test test-all test-all-parts

all: $(sort $(ARTIFACTS))
	@tools/deps --versions

# Newer versions of what comes from Debian, where there are any.
update: setup-run
	@tools/deps --update >/dev/null

setup-run:
	@tools/setup run
setup-test:
	@tools/setup test

# A make of its own, so that nothing is built before the packages are there.
run: setup-run
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@tools/isthmus boot $(RUN_ARGS)

image: all
	@tools/isthmus image build/isthmus.img

# The parts' own checks first: they are quick. A build that fails is a failed
# check too, and the tests that do not need it still run.
test: setup-test
	@$(MAKE) --no-print-directory test-all-parts
test-all-parts:
	@tools/run-tests --checks "build build-tests $(CHECKS)" --units "$(UNIT_TESTS)" --boot \
		--last "$(if $(TEST_ALL),bench suites debian13 fresh12 fresh13)"

# For daily use, minutes: everything that needs no machine, and one boot on
# each platform.
check: setup-test
	@$(MAKE) --no-print-directory check-parts
.PHONY: check-parts
check-parts:
	@tools/run-tests --checks "build count-lines tools" \
		--units "$(UNIT_TESTS)" --boot "/smp1"

# All of `make test` on Debian 13, whatever this machine is: with its compiler,
# its Linux, its emulators.
.PHONY: test-debian13 check-debian13
test-debian13:
	@tools/in-debian 13 make test
check-debian13: test-debian13

# README's two commands, literally: an empty root, an empty cache, a fresh clone.
.PHONY: check-fresh12 check-fresh13
check-fresh12 check-fresh13: check-fresh%:
	@qemu-test/fresh $*

# Suites of others in Linux, on /mnt/host and on a local ext4: hours.
.PHONY: check-suites
check-suites: all
	@qemu-test/suites/run all

# What must make no difference to what files cost: see tools/bench.
.PHONY: check-bench
check-bench: all $(sort $(TEST_ARTIFACTS))
	@tools/bench --compare qemu-tcg

# Everything: more tests, AMD-V on Bochs as a second opinion, KVM's, Debian 13.
test-all: export TEST_ALL := 1
test-all: export CRASH_STATES := 100000
test-all: export VOLUME_FILES := 1000000
test-all: export PLATFORMS := bochs qemu-tcg bochs-amd nested-amd
test-all: test

# Host tests: qemu-test/unit/PART.mk adds names to UNIT_TESTS and sets
# NAME_SRCS and, where needed, NAME_CFLAGS, NAME_LIBS and NAME_NEEDS, what is
# made before any of them is compiled. A source is compiled once for all tests
# with the same flags: these are the name of a folder.
empty :=
unit_folder = build/unit/obj$(subst =,_,$(subst /,+,$(subst $(empty) ,,$($(1)_CFLAGS))))
unit_objects = $(addprefix $(unit_folder)/,$(addsuffix .o,$($(1)_SRCS)))
UNIT_FLAGS := -g -O1 -std=gnu11 -Wall -Wextra -Werror -fsanitize=address,undefined \
	-fno-sanitize-recover=all -Ihypervisor/include -I.
UNIT_TESTS :=
-include $(wildcard $(addprefix qemu-test/, unit/*.mk fuzz/*.mk suites/*.mk power/*.mk))

define unit_rule
$(unit_folder)/%.o: %
	@mkdir -p $$(@D)
	@gcc $$(UNIT_FLAGS) $($(1)_CFLAGS) -MMD -MP -c -o $$@ $$<
$(unit_objects): $($(1)_NEEDS)
build/unit/$(1): $(unit_objects)
	@gcc $$(UNIT_FLAGS) -o $$@ $$(filter %.o,$$^) $$($(1)_LIBS) -lcmocka
endef
$(foreach test,$(UNIT_TESTS),$(eval $(call unit_rule,$(test))))
-include $(patsubst %.o,%.d,$(sort $(foreach test,$(UNIT_TESTS),$(call unit_objects,$(test)))))

unit:
	@tools/run-tests --units "$(UNIT_TESTS)"

# What `all` makes, and what the boot tests boot besides; behind the makefiles
# that add to it.
tests: all $(sort $(TEST_ARTIFACTS) $(OPTIONAL_ARTIFACTS))
	@tools/deps --versions

boot-test: all $(sort $(TEST_ARTIFACTS))
	@$(MAKE) --no-print-directory -k $(OPTIONAL_ARTIFACTS) || :
	@tools/run-tests --boot "$(TESTS)"

CHECKS += count-lines tools models fuzz nat $(if $(TEST_ALL),mutants,mutants-sample)
.PHONY: check-build check-build-tests check-count-lines check-tools \
	check-models check-fuzz check-nat check-mutants check-mutants-sample \
	test-mutants
check-build:
	@$(MAKE) --no-print-directory -j$$(nproc) all
# As much of it as can be: the other tests run without what is missing.
check-build-tests:
	@$(MAKE) --no-print-directory -k -j$$(nproc) tests
check-count-lines:
	@tools/count-lines
# The ring's model and proof; then a few seconds of each fuzzer, from its seeds.
check-models: model-channel
# What the unit tests are worth: all changed copies of the code, and a few.
check-mutants:
	@tools/mutants
check-mutants-sample:
	@tools/mutants --sample 20
test-mutants: setup-test
	@tools/mutants
check-fuzz:
	@$(MAKE) --no-print-directory fuzz-channel FUZZ_RUNS=5000
	@$(MAKE) --no-print-directory fuzz-boot fuzz-files fuzz-net fuzz-nic fuzz-kernel fuzz-save FUZZ_SECONDS=5
check-nat: diff-nat
check-tools:
	@tools/selftest
	@python3 -B tools/isthmus_lib/decode_test.py
	@python3 -B tools/isthmus_lib/arguments_test.py
	@python3 -B tools/isthmus_lib/supply_test.py
	@python3 -B tools/isthmus_lib/remote_test.py
	@python3 -B qemu-test/boot/schema_test.py
	@python3 -B tools/isthmus_lib/picture_test.py
	@python3 -B tools/isthmus_lib/picture_isolation_test.py
	@python3 -B tools/isthmus_lib/doctor_test.py
	@python3 -B tools/isthmus_lib/snapshot_test.py
	@python3 -B tools/isthmus_lib/picture_screen_test.py
	@python3 -B tools/isthmus_lib/ext4_test.py
	@python3 -B tools/isthmus_lib/distros_test.py
	@python3 -B tools/isthmus_lib/mutants_test.py
	@python3 -B tools/isthmus_lib/ring_loads_test.py
	@python3 -B qemu-test/diff/exit_trace_test.py

bench: all $(sort $(TEST_ARTIFACTS))
	@tools/bench $(addprefix --kernel ,$(KERNEL)) $(PLATFORM)
	$(if $(KERNEL),,@tools/bench --memory $(PLATFORM))
	$(if $(KERNEL)$(filter qemu-tcg,$(PLATFORM)),,@tools/bench --cpus)
	$(if $(KERNEL)$(filter bochs,$(PLATFORM)),,@tools/bench --fork)

# In tools/in-debian the folder itself is a mount point.
clean:
	rm -rf build/*

help:
	@echo 'make run        install what is missing, build, boot, console here'
	@echo 'make check      for daily use: build, unit tests, form, a boot each'
	@echo 'make test       the checks and tests; the last line counts them'
	@echo 'make test-all   more of them, on one more platform, and all on Debian 13'
	@echo 'make test-debian13  make test in a root of Debian 13'
	@echo 'make unit       tests that need no machine'
	@echo 'make test-mutants  what these are worth: changed copies of the code'
	@echo 'make boot-test  tests on emulated machines; TESTS="a b" picks some'
	@echo 'make bench      what a guest pays, in instructions; PLATFORM=bochs|qemu-tcg,'
	@echo "                KERNEL=stock: with Debian's own kernel"
	@echo 'make image      build/isthmus.img, a bootable disk or USB stick'
	@echo 'make update     newer Linux, newlib, busybox where Debian has them'
	@echo 'make all clean'
	@echo 'tools/isthmus --help for everything else'
