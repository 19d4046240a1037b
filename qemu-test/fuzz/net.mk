# SPDX-License-Identifier: MIT
# libFuzzer on the NAT: make fuzz-net FUZZ_SECONDS=600; until it has had so many
# runs of all times: make fuzz-nat RUNS=1000000; it and all others of the network:
# make fuzz-network RUNS=1000000

# Tables that are soon full, and few Linuxes.
NAT_SMALL := $(addprefix build/fuzz/small/host-bridge/net/,nat.h nat_int.h)
build/fuzz/small/host-bridge/net/%.h: host-bridge/net/%.h
	@mkdir -p $(@D)
	@sed -E -e '/define NAT_LINUXES\s/s/17u/2u/' -e '/define FRAGS\s/s/64u/4u/' \
		-e '/define HELD_BYTES\s/s/0x20000u/0x400u/' \
		-e '/define NAT_FIXED\s/s/512u/3u/' $< >$@

build/fuzz/nat: qemu-test/fuzz/nat_fuzz.c $(NAT_SRCS) $(NAT_SMALL) \
		$(wildcard host-bridge/net/*.h) qemu-test/unit/nat_fixture.h
	@mkdir -p $(@D)
	clang -Ibuild/fuzz/small $(FILES_FUZZ_FLAGS) $(SCRIPT_FUZZ_FLAGS) -o $@ $(filter %.c,$^)

.PHONY: fuzz-net fuzz-nat fuzz-network
fuzz-net: build/fuzz/nat
	@mkdir -p build/fuzz/nat_corpus
	build/fuzz/nat $(FILES_FUZZ_RUN) build/fuzz/nat_corpus

# Inputs and totals stay in the cache.
fuzz-nat: build/fuzz/nat
	@qemu-test/fuzz/run $(or $(RUNS),1000000) nat

# Of leaks in the stack: net_stack.mk.
FUZZ_NETWORK := nat link_fuzz ports_fuzz nic names_fuzz names_tcp_fuzz
fuzz-network: $(addprefix build/fuzz/,$(FUZZ_NETWORK) net_stack_fuzz)
	@qemu-test/fuzz/run $(or $(RUNS),1000000) $(FUZZ_NETWORK)
	@ASAN_OPTIONS=detect_leaks=0 \
		qemu-test/fuzz/run $(or $(RUNS),1000000) net_stack_fuzz
