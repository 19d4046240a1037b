# SPDX-License-Identifier: MIT
# Unit tests of the channel: the ring, and the host's vsock endpoint on it.

UNIT_TESTS += ring_test ring_order_test ring_opaque_test ring_weak_test vsock_test \
	vsock_faults_test

ring_test_SRCS := qemu-test/unit/ring_test.c
ring_order_test_SRCS := qemu-test/unit/ring_order_test.c
ring_opaque_test_SRCS := qemu-test/unit/ring_opaque_test.c
ring_opaque_test_CFLAGS := -O2 -fno-sanitize=all
# The compiler calls weak.c at each access, and not ThreadSanitizer; each function once,
# so that each fence has one place.
ring_weak_test_SRCS := qemu-test/unit/ring_weak_test.c qemu-test/unit/weak.c
ring_weak_test_CFLAGS := -O2 -fno-inline -fno-sanitize=all -fsanitize=thread -Wno-tsan
ring_weak_test_LIBS := -fno-sanitize=all

VSOCK_UNDER := host-bridge/rt/seed.c host-bridge/vsock/vsock_conn.c host-bridge/vsock/vsock_packet.c \
	host-bridge/vsock/vsock_link.c host-bridge/vsock/services.c
vsock_test_SRCS := qemu-test/unit/vsock_test.c $(VSOCK_UNDER)
vsock_faults_test_SRCS := qemu-test/unit/vsock_faults_test.c $(VSOCK_UNDER)

# Models, and the ring's proof of memory safety: a minute each.
.PHONY: model-channel
model-channel:
	qemu-test/spin/run build/spin
	qemu-test/frama-c/run build/frama-c
