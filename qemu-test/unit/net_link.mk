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
LINUX_NET_UNIT := net_linux net_linux_end
UNIT_TESTS += $(LINUX_NET_UNIT)
$(foreach t,$(LINUX_NET_UNIT),\
	$(eval $(t)_SRCS := qemu-test/unit/$(t)_test.c qemu-test/unit/net_linux_fixture.c \
		$(addprefix host-bridge/net/,link.c link_check.c linux_net.c look.c pool.c probe.c) \
		$(wildcard host-bridge/net/nat*.c) \
		$(addprefix host-bridge/net/,names_message.c ports.c ports_rules.c) host-bridge/vsock/vsock_inbox.c \
		qemu-test/unit/fake/vsock.c)\
	$(eval $(t)_CFLAGS = $$(LWIP_INCLUDES))\
	$(eval $(t)_NEEDS := build/deps/lwip))
