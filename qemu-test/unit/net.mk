# SPDX-License-Identifier: MIT
# Unit tests of the network's pure parts.
NAT_SRCS := $(wildcard host-bridge/net/nat*.c) host-bridge/net/look.c \
	host-bridge/net/pool.c qemu-test/unit/nat_fixture.c

UNIT_TESTS += nat nat_icmp nat_policy
nat_SRCS := qemu-test/unit/nat_test.c $(NAT_SRCS)
nat_icmp_SRCS := qemu-test/unit/nat_icmp_test.c $(NAT_SRCS)
nat_policy_SRCS := qemu-test/unit/nat_policy_test.c $(NAT_SRCS)
nat_policy_LIBS := -Wl,--wrap=calloc

# Beside netfilter's NAT: make diff-nat SEQUENCES=10000
build/diff/nat_netfilter: $(addprefix qemu-test/diff/nat_,netfilter.c pair.c) \
		$(NAT_SRCS) $(wildcard host-bridge/net/*.h) \
		qemu-test/diff/nat_pair.h qemu-test/unit/nat_fixture.h
	@mkdir -p $(@D)
	gcc $(UNIT_FLAGS) -o $@ $(filter %.c,$^)
.PHONY: diff-nat
diff-nat: build/diff/nat_netfilter
	@qemu-test/diff/nat $< $(or $(SEQUENCES),10000)
