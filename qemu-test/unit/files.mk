# SPDX-License-Identifier: MIT
# Tests of the volume and of files over the channel.
comma := ,
VOLUME_SRCS := host-bridge/blk/volume_mem.c host-bridge/fs/volume_path.c \
	$(wildcard host-bridge/fs/ext4/*.c)

UNIT_TESTS += volume
volume_SRCS := qemu-test/unit/volume_test.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS)
volume_LIBS := -lext2fs -lcom_err

UNIT_TESTS += volume_name
volume_name_SRCS := qemu-test/unit/volume_name_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS)
volume_name_LIBS := -lext2fs -lcom_err

UNIT_TESTS += volume_space
volume_space_SRCS := qemu-test/unit/volume_space_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS)
volume_space_LIBS := -lext2fs -lcom_err

UNIT_TESTS += volume_acl
volume_acl_SRCS := qemu-test/unit/volume_acl_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS)
volume_acl_LIBS := -lext2fs -lcom_err

UNIT_TESTS += volume_flags
volume_flags_SRCS := qemu-test/unit/volume_flags_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS)
volume_flags_LIBS := -lext2fs -lcom_err

UNIT_TESTS += volume_fail
volume_fail_SRCS := qemu-test/unit/volume_fail_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS)
volume_fail_LIBS := -lext2fs -lcom_err \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

UNIT_TESTS += volume_event
volume_event_SRCS := qemu-test/unit/volume_event_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS)
volume_event_LIBS := -lext2fs -lcom_err

UNIT_TESTS += volume_stress
volume_stress_SRCS := qemu-test/unit/volume_stress_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS)
volume_stress_LIBS := -lext2fs -lcom_err

UNIT_TESTS += volume_orphan
volume_orphan_SRCS := qemu-test/unit/volume_orphan_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS)
volume_orphan_LIBS := -lext2fs -lcom_err

UNIT_TESTS += volume_leaf
volume_leaf_SRCS := qemu-test/unit/volume_leaf_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS)
volume_leaf_LIBS := -lext2fs -lcom_err

UNIT_TESTS += volume_group
volume_group_SRCS := qemu-test/unit/volume_group_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS)
volume_group_LIBS := -lext2fs -lcom_err

# The same before a device whose blocks are not there at once.
AGAIN_SRCS := qemu-test/unit/volume_again.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS)
AGAIN_LIBS := -lext2fs -lcom_err \
	$(addprefix -Wl$(comma)--wrap=volume_,hold getattr setattr lookup create tmpfile symlink link \
	unlink rmdir rename readlink read map fallocate seek copy \
	get_flags set_flags xattr_get xattr_list xattr_set \
	xattr_remove open flush fsync close write readdir)

UNIT_TESTS += volume_again
volume_again_SRCS := qemu-test/unit/volume_test.c $(AGAIN_SRCS)
volume_again_LIBS := $(AGAIN_LIBS)

UNIT_TESTS += volume_again_name
volume_again_name_SRCS := qemu-test/unit/volume_name_test.c $(AGAIN_SRCS)
volume_again_name_LIBS := $(AGAIN_LIBS)

UNIT_TESTS += volume_again_space
volume_again_space_SRCS := qemu-test/unit/volume_space_test.c $(AGAIN_SRCS)
volume_again_space_LIBS := $(AGAIN_LIBS)

UNIT_TESTS += volume_again_acl
volume_again_acl_SRCS := qemu-test/unit/volume_acl_test.c $(AGAIN_SRCS)
volume_again_acl_LIBS := $(AGAIN_LIBS)

UNIT_TESTS += volume_again_flags
volume_again_flags_SRCS := qemu-test/unit/volume_flags_test.c $(AGAIN_SRCS)
volume_again_flags_LIBS := $(AGAIN_LIBS)

UNIT_TESTS += volume_again_htree
volume_again_htree_SRCS := qemu-test/unit/volume_htree_test.c $(AGAIN_SRCS)
volume_again_htree_LIBS := $(AGAIN_LIBS)

UNIT_TESTS += volume_again_stress
volume_again_stress_SRCS := qemu-test/unit/volume_stress_test.c $(AGAIN_SRCS)
volume_again_stress_LIBS := $(AGAIN_LIBS)

UNIT_TESTS += volume_htree
volume_htree_SRCS := qemu-test/unit/volume_htree_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS)
volume_htree_LIBS := -lext2fs -lcom_err

UNIT_TESTS += volume_why
volume_why_SRCS := qemu-test/unit/volume_why_test.c $(VOLUME_SRCS)
volume_why_LIBS := -lext2fs -lcom_err

UNIT_TESTS += host_watch
host_watch_SRCS := qemu-test/unit/host_watch_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS) \
	$(addprefix host-bridge/ui/, commands_watch.c words.c) \
	host-bridge/fs/volume_call.c
host_watch_LIBS := -lext2fs -lcom_err

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
p9_client_LIBS := -lext2fs -lcom_err

# The client against the agent's server.
UNIT_TESTS += p9_agent
p9_agent_SRCS := qemu-test/unit/p9_agent_test.c $(P9_CLIENT_SRCS) \
	$(addprefix guest/init/agent_, 9p.c 9p_ops.c 9p_fid.c 9p_text.c \
	session.c proto.c watch.c)

# FUSE.
FUSE_SERVER_SRCS := host-bridge/rt/seed.c host-bridge/files/linux_errno.c \
	$(filter-out %_service.c, \
	$(wildcard host-bridge/files/fuse_*.c))

UNIT_TESTS += fuse_server
fuse_server_SRCS := qemu-test/unit/fuse_server_test.c \
	qemu-test/unit/fuse_talk.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS) $(FUSE_SERVER_SRCS)
fuse_server_LIBS := -lext2fs -lcom_err

# The same before a device whose blocks are not there at once.
FUSE_AGAIN_SRCS := qemu-test/unit/fuse_talk.c qemu-test/unit/fuse_again.c \
	$(AGAIN_SRCS) $(FUSE_SERVER_SRCS)
UNIT_TESTS += $(addprefix fuse_again_,server attr lock hostile session)
fuse_again_server_SRCS := qemu-test/unit/fuse_server_test.c $(FUSE_AGAIN_SRCS)
fuse_again_server_LIBS := $(AGAIN_LIBS)
fuse_again_attr_SRCS := qemu-test/unit/fuse_attr_test.c $(FUSE_AGAIN_SRCS)
fuse_again_attr_LIBS := $(AGAIN_LIBS)
fuse_again_lock_SRCS := qemu-test/unit/fuse_lock_test.c $(FUSE_AGAIN_SRCS)
fuse_again_lock_LIBS := $(AGAIN_LIBS)
fuse_again_hostile_SRCS := qemu-test/unit/fuse_hostile_test.c $(FUSE_AGAIN_SRCS)
fuse_again_hostile_LIBS := $(AGAIN_LIBS)
fuse_again_session_SRCS := qemu-test/unit/fuse_session_test.c $(FUSE_AGAIN_SRCS)
fuse_again_session_LIBS := $(AGAIN_LIBS)

UNIT_TESTS += fuse_wait
fuse_wait_SRCS := qemu-test/unit/fuse_wait_test.c qemu-test/unit/fuse_talk.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS) $(FUSE_SERVER_SRCS)
fuse_wait_LIBS := -lext2fs -lcom_err

UNIT_TESTS += fuse_coherence
fuse_coherence_SRCS := qemu-test/unit/fuse_coherence_test.c \
	qemu-test/unit/fuse_peer.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS) $(filter-out %/seed.c,$(FUSE_SERVER_SRCS))
fuse_coherence_LIBS := -lext2fs -lcom_err

UNIT_TESTS += fuse_order
fuse_order_SRCS := qemu-test/unit/fuse_order_test.c \
	qemu-test/unit/fuse_peer.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS) $(filter-out %/seed.c,$(FUSE_SERVER_SRCS))
fuse_order_LIBS := -lext2fs -lcom_err

UNIT_TESTS += fuse_proto
fuse_proto_SRCS := qemu-test/unit/fuse_proto_test.c \
	qemu-test/unit/fuse_numbers_linux.c

UNIT_TESTS += fuse_attr
fuse_attr_SRCS := qemu-test/unit/fuse_attr_test.c \
	qemu-test/unit/fuse_talk.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS) $(FUSE_SERVER_SRCS)
fuse_attr_LIBS := -lext2fs -lcom_err

UNIT_TESTS += fuse_lock
fuse_lock_SRCS := qemu-test/unit/fuse_lock_test.c \
	qemu-test/unit/fuse_talk.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS) $(FUSE_SERVER_SRCS)
fuse_lock_LIBS := -lext2fs -lcom_err

UNIT_TESTS += fuse_hostile
fuse_hostile_SRCS := qemu-test/unit/fuse_hostile_test.c \
	qemu-test/unit/fuse_talk.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS) $(FUSE_SERVER_SRCS)
fuse_hostile_LIBS := -lext2fs -lcom_err

UNIT_TESTS += fuse_limits
fuse_limits_SRCS := qemu-test/unit/fuse_limits_test.c \
	qemu-test/unit/fuse_talk.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS) $(FUSE_SERVER_SRCS)
fuse_limits_LIBS := -lext2fs -lcom_err

UNIT_TESTS += fuse_session
fuse_session_SRCS := qemu-test/unit/fuse_session_test.c \
	qemu-test/unit/fuse_talk.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS) $(FUSE_SERVER_SRCS)
fuse_session_LIBS := -lext2fs -lcom_err

UNIT_TESTS += fuse_service
fuse_service_SRCS := qemu-test/unit/fuse_service_test.c \
	qemu-test/unit/fake/vsock.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS) $(FUSE_SERVER_SRCS) host-bridge/files/fuse_service.c \
	host-bridge/vsock/vsock_inbox.c
fuse_service_LIBS := -lext2fs -lcom_err

UNIT_TESTS += fuse_memory
fuse_memory_SRCS := qemu-test/unit/fuse_memory_test.c \
	qemu-test/unit/fuse_talk.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS) $(FUSE_SERVER_SRCS)
fuse_memory_LIBS := -lext2fs -lcom_err \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc

UNIT_TESTS += host_down
host_down_SRCS := qemu-test/unit/host_down_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS) $(FUSE_SERVER_SRCS) \
	host-bridge/files/fuse_service.c host-bridge/ui/commands_system.c \
	host-bridge/fs/volume_call.c \
	$(addprefix host-bridge/vsock/vsock, _conn.c _inbox.c _link.c _packet.c)
host_down_LIBS := -lext2fs -lcom_err

UNIT_TESTS += nbd
nbd_SRCS := host-bridge/fs/volume_call.c qemu-test/unit/nbd_test.c qemu-test/unit/fake/nbd.c \
	qemu-test/unit/fake/vsock.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS) \
	$(wildcard host-bridge/nbd/*.c) host-bridge/vsock/vsock_inbox.c
nbd_LIBS := -lext2fs -lcom_err

# The same before a device whose blocks are not there at once.
UNIT_TESTS += nbd_again
nbd_again_SRCS := qemu-test/unit/nbd_again.c $(AGAIN_SRCS) \
	$(filter-out $(AGAIN_SRCS),$(nbd_SRCS))
nbd_again_LIBS := $(AGAIN_LIBS)
