# SPDX-License-Identifier: MIT
# Unit tests of the channel: the ring, and the host's vsock endpoint on it.

UNIT_TESTS += ring_test vsock_test

ring_test_SRCS := qemu-test/unit/ring_test.c

vsock_test_SRCS := qemu-test/unit/vsock_test.c \
	host-bridge/vsock.c host-bridge/vsock_packet.c \
	host-bridge/vsock_link.c host-bridge/services.c

# The ring's model and its proof of memory safety: half a minute and a minute.
.PHONY: model-channel
model-channel:
	qemu-test/spin/run build/spin
	qemu-test/frama-c/run build/frama-c
