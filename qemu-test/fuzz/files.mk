# SPDX-License-Identifier: MIT
# libFuzzer on the FUSE server and the volume below it, and on the 9P client and
# the commands above it: make fuzz-files FUZZ_SECONDS=600. On both ends of FUSE
# until each has had so many runs, of all times: make fuzz-fuse RUNS=1000000

FILES_FUZZ_FLAGS := -g -O1 -std=gnu11 -Wall -Wextra -Werror \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	-Ihypervisor/include -I.
# For inputs that are lists of what to do, in which no number is compared.
SCRIPT_FUZZ_FLAGS := -O2 -fno-sanitize-coverage=trace-cmp
FILES_FUZZ_RUN = -max_total_time=$(or $(FUZZ_SECONDS),60) -seed=1 \
	-max_len=20000 -print_final_stats=1 -artifact_prefix=build/fuzz/

build/fuzz/fuse_server: qemu-test/fuzz/fuse_server_fuzz.c $(VOLUME_SRCS) \
		$(filter-out %/seed.c,$(FUSE_SERVER_SRCS)) \
		qemu-test/fuzz/fuse_small.h \
		$(wildcard $(addprefix host-bridge/, files/fuse*.h blk/*.h fs/*.h fs/*/*.h))
	@mkdir -p $(@D)
	clang $(FILES_FUZZ_FLAGS) $(SCRIPT_FUZZ_FLAGS) \
		-include qemu-test/fuzz/fuse_small.h -o $@ $(filter %.c,$^) \
		-lext2fs -lcom_err

build/fuzz/p9_client: qemu-test/fuzz/p9_client_fuzz.c $(FILE_COMMANDS_SRCS) \
		qemu-test/unit/hostile_linux.h $(wildcard host-bridge/*/*.h proto/*.h)
	@mkdir -p $(@D)
	clang $(FILES_FUZZ_FLAGS) -include qemu-test/unit/newlib.h -o $@ \
		$(filter %.c,$^) -lext2fs -lcom_err

# A group no larger than the volume: libext2fs sets a bit for each block that is
# missing in the last, each time that it writes bitmaps.
build/fuzz/fuse.ext4:
	@mkdir -p $(@D)
	@/sbin/mke2fs -q -F -t ext4 -b 4096 -g 256 -m 0 -O ^has_journal -N 64 $@ 1M

.PHONY: fuzz-files fuzz-fuse
fuzz-files: build/fuzz/fuse_server build/fuzz/p9_client build/fuzz/fuse.ext4
	@mkdir -p build/fuzz/p9_client_corpus build/fuzz/fuse_corpus
	@qemu-test/fuzz/p9_client_seeds.py build/fuzz/p9_client_seeds
	FUSE_FUZZ_IMAGE=build/fuzz/fuse.ext4 build/fuzz/fuse_server \
		$(FILES_FUZZ_RUN) -entropic=0 build/fuzz/fuse_corpus
	build/fuzz/p9_client $(FILES_FUZZ_RUN) build/fuzz/p9_client_corpus \
		build/fuzz/p9_client_seeds

# Inputs and totals stay in the cache.
fuzz-fuse: build/fuzz/fuse_server build/fuzz/driver_fuse_fuzz \
		build/fuzz/fuse.ext4
	@FUSE_FUZZ_IMAGE=build/fuzz/fuse.ext4 qemu-test/fuzz/run \
		$(or $(RUNS),1000000) fuse_server driver_fuse_fuzz
