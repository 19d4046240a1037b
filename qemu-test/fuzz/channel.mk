# SPDX-License-Identifier: MIT
# libFuzzer targets of the channel. `make build/fuzz/NAME`, then run it with a
# folder of inputs; `make fuzz-channel` runs each for FUZZ_RUNS inputs.

FUZZ_RUNS ?= 20000
FUZZ_CHANNEL := ring_fuzz vsock_fuzz link_fuzz ports_fuzz names_fuzz names_tcp_fuzz driver_fuse_fuzz agent_fuzz sockets_fuzz
FUZZ_FLAGS := -g -O1 -std=gnu11 -Wall -Wextra -Werror \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_INCLUDES := -Ihypervisor/include -I. -Iqemu-test/unit

ring_fuzz_SRCS := qemu-test/fuzz/ring_fuzz.c
vsock_fuzz_SRCS := qemu-test/fuzz/vsock_fuzz.c host-bridge/rt/seed.c \
	$(addprefix host-bridge/vsock/, vsock_conn.c vsock_packet.c vsock_link.c services.c)

link_fuzz_SRCS := qemu-test/fuzz/link_fuzz.c host-bridge/vsock/vsock_inbox.c \
	$(addprefix host-bridge/net/,link.c link_check.c)
build/fuzz/link_fuzz: $(wildcard host-bridge/net/*.h) proto/net_channel.h

ports_fuzz_SRCS := qemu-test/fuzz/ports_fuzz.c \
	$(addprefix host-bridge/net/,ports.c ports_rules.c)
build/fuzz/ports_fuzz: $(wildcard host-bridge/net/*.h) proto/ports.h

names_fuzz_SRCS := qemu-test/fuzz/names_fuzz.c \
	$(addprefix host-bridge/net/,names_udp.c names_message.c)
names_fuzz_FLAGS := $(LWIP_INCLUDES)
names_tcp_fuzz_SRCS := qemu-test/fuzz/names_tcp_fuzz.c \
	$(addprefix host-bridge/net/,names_tcp.c names_message.c)
names_tcp_fuzz_FLAGS := $(LWIP_INCLUDES)
build/fuzz/names_fuzz build/fuzz/names_tcp_fuzz: $(wildcard host-bridge/net/*.h) \
	$(LWIP_NEEDS)

agent_fuzz_SRCS := qemu-test/fuzz/agent_fuzz.c guest/init/agent_proto.c \
	guest/init/user.c
build/fuzz/agent_fuzz: guest/init/agent.h guest/init/user.h proto/agent.h

# Three Linuxes: qemu-test/unit/host.mk.
sockets_fuzz_SRCS := qemu-test/fuzz/sockets_fuzz.c $(SOCKETS_SRCS)
sockets_fuzz_FLAGS := -O2 -fno-sanitize-coverage=trace-cmp
sockets_fuzz_LIBS := -lcmocka
build/fuzz/sockets_fuzz: qemu-test/unit/sockets_fixture.h proto/sockets.h \
	$(wildcard host-bridge/sockets/*.h)

# Linux' driver in its fake kernel: qemu-test/unit/driver.mk.
driver_fuse_fuzz_SRCS := qemu-test/fuzz/driver_fuse_fuzz.c $(DRIVER_SRCS) \
	$(DRIVER_FAKES)
driver_fuse_fuzz_FLAGS := -Ibuild/fuzz/small $(DRIVER_FLAGS) -O2 \
	-fno-sanitize-coverage=trace-cmp -include qemu-test/fuzz/driver_small.h
build/fuzz/driver_fuse_fuzz: $(wildcard \
	guest/driver/*.h qemu-test/unit/driver_*.h qemu-test/unit/fake/*.h) \
	qemu-test/fuzz/driver_small.h build/fuzz/small/proto/ring.h \
	| $(DRIVER_HEADERS)
# Rings and packets an eighth as long: more wraps around, and less to clear.
build/fuzz/small/proto/ring.h: proto/ring.h
	@mkdir -p $(@D)
	@sed -E -e '/RING_DATA_MIN\s/s/0x40000u/0x8000u/' \
		-e '/RING_PAYLOAD_MAX\s/s/0x10000u/0x2000u/' $< >$@

define fuzz_channel_rule
build/fuzz/$(1): $$($(1)_SRCS) proto/ring.h \
		qemu-test/unit/vsock_peer.h $(wildcard host-bridge/vsock/vsock*.h)
	@mkdir -p $$(@D)
	clang $$(FUZZ_FLAGS) $$($(1)_FLAGS) $$(FUZZ_INCLUDES) -o $$@ \
		$$($(1)_SRCS) $$($(1)_LIBS)
endef
$(foreach target,$(FUZZ_CHANNEL),$(eval $(call fuzz_channel_rule,$(target))))

# Short inputs first, but where nothing happens in short ones.
sockets_fuzz_RUN := -len_control=0

.PHONY: fuzz-channel
fuzz-channel: $(addprefix build/fuzz/,$(FUZZ_CHANNEL))
	$(foreach target,$(FUZZ_CHANNEL),build/fuzz/$(target) -runs=$(FUZZ_RUNS) -seed=1 \
		-max_len=2048 -rss_limit_mb=4096 $($(target)_RUN) \
		-artifact_prefix=build/fuzz/ &&) :
