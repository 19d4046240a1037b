# SPDX-License-Identifier: MIT
# Tests of the volume and of files over the channel.
comma := ,
VOLUME_LIBS := -lext2fs -lcom_err
VOLUME_SRCS := host-bridge/blk/volume_mem.c host-bridge/fs/volume_path.c \
	$(wildcard host-bridge/fs/ext4/*.c)
FUSE_SERVER_SRCS := host-bridge/rt/seed.c host-bridge/rt/legacy.c \
	host-bridge/files/linux_errno.c \
	$(filter-out %_service.c, \
	$(wildcard host-bridge/files/fuse_*.c))
# Where memory runs out when the test says so.
OUT_OF_MEMORY := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

VOLUME_UNIT := volume $(addprefix volume_,name space acl flags fail event \
	stress orphan leaf group htree why ahead fsck)
UNIT_TESTS += $(VOLUME_UNIT)
$(foreach t,$(VOLUME_UNIT),\
	$(eval $(t)_SRCS := qemu-test/unit/$(t)_test.c \
		qemu-test/unit/volume_fixture.c $(VOLUME_SRCS))\
	$(eval $(t)_LIBS := $(VOLUME_LIBS)))
volume_fail_LIBS += $(OUT_OF_MEMORY)
volume_why_SRCS := $(filter-out %/volume_fixture.c,$(volume_why_SRCS))

FUSE_UNIT := $(addprefix fuse_,server wait attr lock hostile limits session \
	memory confine sockets legacy)
UNIT_TESTS += $(FUSE_UNIT)
$(foreach t,$(FUSE_UNIT),\
	$(eval $(t)_SRCS := qemu-test/unit/$(t)_test.c \
		qemu-test/unit/fuse_talk.c qemu-test/unit/volume_fixture.c \
		$(VOLUME_SRCS) $(FUSE_SERVER_SRCS))\
	$(eval $(t)_LIBS := $(VOLUME_LIBS)))
fuse_memory_LIBS += $(OUT_OF_MEMORY)

# Some of both before a device whose blocks are not there at once.
AGAIN_SRCS := qemu-test/unit/volume_again.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS)
AGAIN_LIBS := $(VOLUME_LIBS) \
	$(addprefix -Wl$(comma)--wrap=volume_,hold getattr setattr lookup create tmpfile symlink link \
	unlink rmdir rename readlink read map fallocate seek copy \
	get_flags set_flags xattr_get xattr_list xattr_set \
	xattr_remove open flush fsync close write readdir)
AGAIN_UNIT := volume_again $(addprefix volume_again_,name space acl flags \
	htree stress) $(addprefix fuse_again_,server attr lock hostile session)
UNIT_TESTS += $(AGAIN_UNIT)
$(foreach t,$(AGAIN_UNIT),\
	$(eval $(t)_SRCS := qemu-test/unit/$(subst _again,,$(t))_test.c \
		$(AGAIN_SRCS) $(if $(filter fuse_%,$(t)),\
		qemu-test/unit/fuse_talk.c qemu-test/unit/fuse_again.c \
		$(FUSE_SERVER_SRCS)))\
	$(eval $(t)_LIBS := $(AGAIN_LIBS)))

UNIT_TESTS += host_watch
host_watch_SRCS := qemu-test/unit/host_watch_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS) \
	$(addprefix host-bridge/ui/, commands_watch.c words.c) \
	host-bridge/fs/volume_call.c
host_watch_LIBS := $(VOLUME_LIBS) -Wl,--wrap=volume_readdir

P9_CLIENT_SRCS := proto/p9_codec.c host-bridge/files/linux_errno.c \
	$(addprefix host-bridge/files/p9_, client_call.c client_ops.c)

# The commands on files, against a Linux that means harm.
FILE_COMMANDS_SRCS := host-bridge/fs/volume_call.c \
	qemu-test/unit/hostile_linux.c $(VOLUME_SRCS) \
	$(addprefix host-bridge/ui/, commands_complete.c commands_files.c \
	places.c words.c) qemu-test/unit/host_no_watch.c \
	$(P9_CLIENT_SRCS)
UNIT_TESTS += p9_client
p9_client_SRCS := qemu-test/unit/p9_client_test.c \
	qemu-test/unit/volume_fixture.c $(FILE_COMMANDS_SRCS)
p9_client_CFLAGS := -include qemu-test/unit/newlib.h
p9_client_LIBS := $(VOLUME_LIBS)

# The client against the agent's server.
UNIT_TESTS += p9_agent
p9_agent_SRCS := qemu-test/unit/p9_agent_test.c $(P9_CLIENT_SRCS) \
	$(addprefix guest/init/agent_, 9p.c 9p_ops.c 9p_fid.c 9p_text.c \
	session.c start.c proto.c watch.c fork.c) guest/init/user.c \
	qemu-test/unit/agent_no_host.c

UNIT_TESTS += fuse_coherence
fuse_coherence_SRCS := qemu-test/unit/fuse_coherence_test.c \
	qemu-test/unit/fuse_peer.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS) $(filter-out %/seed.c,$(FUSE_SERVER_SRCS))
fuse_coherence_LIBS := $(VOLUME_LIBS)

UNIT_TESTS += fuse_order
fuse_order_SRCS := qemu-test/unit/fuse_order_test.c \
	qemu-test/unit/fuse_peer.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS) $(filter-out %/seed.c,$(FUSE_SERVER_SRCS))
fuse_order_LIBS := $(VOLUME_LIBS)

UNIT_TESTS += fuse_proto
fuse_proto_SRCS := qemu-test/unit/fuse_proto_test.c \
	qemu-test/unit/fuse_numbers_linux.c

UNIT_TESTS += fuse_service
fuse_service_SRCS := qemu-test/unit/fuse_service_test.c \
	qemu-test/unit/fake/vsock.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS) $(FUSE_SERVER_SRCS) host-bridge/files/fuse_service.c \
	host-bridge/vsock/vsock_inbox.c
fuse_service_LIBS := $(VOLUME_LIBS)

UNIT_TESTS += host_down
host_down_SRCS := qemu-test/unit/host_down_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS) $(FUSE_SERVER_SRCS) \
	host-bridge/files/fuse_service.c \
	host-bridge/ui/commands_system.c \
	host-bridge/fs/volume_call.c \
	$(addprefix host-bridge/vsock/vsock, _conn.c _inbox.c _link.c _packet.c)
host_down_LIBS := $(VOLUME_LIBS)
host_down_CFLAGS = $(LWIP_INCLUDES)
host_down_NEEDS := build/deps/lwip

UNIT_TESTS += nbd
nbd_SRCS := host-bridge/fs/volume_call.c qemu-test/unit/nbd_test.c qemu-test/unit/fake/nbd.c \
	qemu-test/unit/fake/vsock.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS) \
	$(wildcard host-bridge/nbd/*.c) host-bridge/vsock/vsock_inbox.c \
	$(FAKE_DISK_SRCS) qemu-test/unit/fake/dma.c
nbd_LIBS := $(VOLUME_LIBS)

UNIT_TESTS += nbd_device
nbd_device_SRCS := $(filter-out %/nbd_test.c %/volume_fixture.c,$(nbd_SRCS)) \
	qemu-test/unit/nbd_device_test.c
nbd_device_LIBS := $(VOLUME_LIBS)

UNIT_TESTS += nbd_credit
nbd_credit_SRCS := qemu-test/unit/nbd_credit_test.c $(VSOCK_UNDER) \
	$(filter-out %_file.c,$(wildcard host-bridge/nbd/*.c)) \
	host-bridge/vsock/vsock_inbox.c $(FAKE_DISK_SRCS) \
	qemu-test/unit/fake/dma.c

# The same before a device whose blocks are not there at once.
UNIT_TESTS += nbd_again
nbd_again_SRCS := qemu-test/unit/nbd_again.c $(AGAIN_SRCS) \
	$(filter-out $(AGAIN_SRCS),$(nbd_SRCS))
nbd_again_LIBS := $(AGAIN_LIBS)
