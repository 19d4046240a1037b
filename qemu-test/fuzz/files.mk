# SPDX-License-Identifier: MIT
# libFuzzer on the 9P server and the volume below it:
# make fuzz-files FUZZ_SECONDS=600

build/fuzz/p9_server: qemu-test/fuzz/p9_server_fuzz.c $(VOLUME_SRCS) \
		$(P9_SERVER_SRCS) \
		$(wildcard $(addprefix host-bridge/, files/p9*.h blk/*.h fs/*.h fs/*/*.h))
	@mkdir -p $(@D)
	clang -g -O1 -std=gnu11 -Wall -Wextra -Werror \
		-fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -I. -o $@ $(filter %.c,$^) \
		-lext2fs -lcom_err

.PHONY: fuzz-files
fuzz-files: build/fuzz/p9_server
	@mkdir -p build/fuzz/p9_corpus
	@qemu-test/fuzz/p9_seeds.py build/fuzz/p9_seeds
	@/sbin/mke2fs -q -F -t ext4 -b 4096 -m 0 -O ^has_journal -N 64 \
		build/fuzz/p9.ext4 1M
	P9_FUZZ_IMAGE=build/fuzz/p9.ext4 $< -max_total_time=$(or $(FUZZ_SECONDS),60) \
		-seed=1 -max_len=20000 -print_final_stats=1 \
		-artifact_prefix=build/fuzz/ build/fuzz/p9_corpus build/fuzz/p9_seeds
