# SPDX-License-Identifier: MIT
# Tests of the network: the stack between a card and a router of the test's.

NET_STACK_SRCS := $(addprefix host-bridge/net/,stack_run.c stack_out.c neighbours.c join.c stack_link.c \
	stack_addresses.c stack_pools.c pool.c lwip_port.c echo.c listen.c ntp.c ping.c resolve.c syslog.c) host-bridge/rt/seed.c \
	host-bridge/rt/wall.c host-bridge/rt/sink.c drivers/nic_soft.c
NET_FLAGS := -Iqemu-test/unit -include qemu-test/unit/fake/clock.h \
	-include qemu-test/unit/newlib.h $(LWIP_INCLUDES)

build/unit/lwip.a: $(LWIP_NEEDS) host-bridge/build.mk
	$(call LWIP_ARCHIVE,gcc $(UNIT_FLAGS) $(LWIP_INCLUDES),ar)

NET_UNIT := net_stack net_stack_linux net_echo net_syslog net_console net_control net_names net_names_tcp net_static \
	net_neighbours net_wrong
UNIT_TESTS += $(NET_UNIT)
$(foreach t,$(NET_UNIT),\
	$(eval $(t)_SRCS := qemu-test/unit/$(t)_test.c \
		qemu-test/unit/net_fixture.c $(NET_STACK_SRCS))\
	$(eval $(t)_CFLAGS := $(NET_FLAGS))\
	$(eval $(t)_NEEDS := $(LWIP_NEEDS))\
	$(eval $(t)_LIBS := build/unit/lwip.a)\
	$(eval build/unit/$(t): build/unit/lwip.a))
NETCONSOLE_SRCS := host-bridge/net/netconsole.c host-bridge/net/challenge.c host-bridge/rt/hmac.c proto/sha256.c
net_console_SRCS += qemu-test/unit/net_peers.c $(NETCONSOLE_SRCS)
net_control_SRCS += qemu-test/unit/net_peers.c qemu-test/unit/fake/vsock.c host-bridge/agent/control.c \
	host-bridge/net/challenge.c host-bridge/rt/hmac.c proto/sha256.c
net_wrong_SRCS += $(NETCONSOLE_SRCS)
NAMES_SRCS := qemu-test/unit/net_names_fixture.c $(addprefix host-bridge/net/, \
	names_udp.c names_message.c names_tcp.c stack_ports.c)
net_names_SRCS += $(NAMES_SRCS)
net_names_tcp_SRCS += qemu-test/unit/net_names_peers.c $(NAMES_SRCS)

UNIT_TESTS += net_join
net_join_SRCS := qemu-test/unit/net_join_test.c host-bridge/net/join.c
