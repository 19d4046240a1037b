# SPDX-License-Identifier: MIT
# Unit tests of the network's pure parts.
NAT_SRCS := $(wildcard host-bridge/net/nat*.c) host-bridge/net/look.c qemu-test/unit/nat_fixture.c

UNIT_TESTS += nat nat_icmp nat_policy
nat_SRCS := qemu-test/unit/nat_test.c $(NAT_SRCS)
nat_icmp_SRCS := qemu-test/unit/nat_icmp_test.c $(NAT_SRCS)
nat_policy_SRCS := qemu-test/unit/nat_policy_test.c $(NAT_SRCS)
