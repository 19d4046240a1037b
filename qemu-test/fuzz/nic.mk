# SPDX-License-Identifier: MIT
# libFuzzer on the drivers of network cards, against what a card writes: make
# fuzz-nic FUZZ_SECONDS=600.

NIC_FUZZ_SRCS := $(addprefix drivers/, nic.c nic_soft.c virtio_net.c \
	virtio_pci.c e1000.c)

build/fuzz/nic: qemu-test/fuzz/nic_fuzz.c $(NIC_FUZZ_SRCS) \
		$(wildcard drivers/*.h) qemu-test/unit/fake/disk_machine.h
	@mkdir -p $(@D)
	clang $(FILES_FUZZ_FLAGS) $(SCRIPT_FUZZ_FLAGS) \
		-include qemu-test/unit/fake/disk_machine.h -o $@ \
		$(filter %.c,$^)

.PHONY: fuzz-nic
fuzz-nic: build/fuzz/nic
	@mkdir -p build/fuzz/nic_corpus
	build/fuzz/nic -max_total_time=$(or $(FUZZ_SECONDS),60) -seed=1 \
		-max_len=512 -len_control=0 -print_final_stats=1 \
		-artifact_prefix=build/fuzz/ build/fuzz/nic_corpus
