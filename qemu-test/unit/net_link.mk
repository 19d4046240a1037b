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

# The network of a Linux: link and NAT, without wire or stack.
UNIT_TESTS += net_linux
net_linux_SRCS := qemu-test/unit/net_linux_test.c \
	$(addprefix host-bridge/net/,link.c link_check.c linux_net.c look.c probe.c) \
	$(wildcard host-bridge/net/nat*.c) \
	$(addprefix host-bridge/net/,ports.c ports_rules.c) host-bridge/vsock/vsock_inbox.c \
	qemu-test/unit/fake/vsock.c
net_linux_CFLAGS = $(LWIP_INCLUDES)
net_linux_NEEDS := build/deps/lwip
