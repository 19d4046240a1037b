# SPDX-License-Identifier: MIT
# Unit test of the host's end of Linux' network interface.

UNIT_TESTS += net_link
net_link_SRCS := qemu-test/unit/net_link_test.c \
	$(addprefix host-bridge/net/,link.c link_check.c) \
	host-bridge/vsock/vsock_inbox.c qemu-test/unit/fake/vsock.c

# Ports that lead to a Linux. Its test includes ports.c.
UNIT_TESTS += net_ports
net_ports_SRCS := qemu-test/unit/net_ports_test.c \
	host-bridge/net/ports_rules.c qemu-test/unit/fake/vsock.c $(NAT_SRCS)
