# SPDX-License-Identifier: MIT
UNIT_TESTS += init_processes init_distro distro_tree distro_differs init_cache init_log init_net init_reset init_ports agent_proto agent_session agent_start agent_ready agent_clock agent_9p user

init_processes_SRCS := qemu-test/unit/init_processes_test.c \
	guest/init/processes.c
init_processes_LIBS := -lutil

init_distro_SRCS := qemu-test/unit/init_distro_test.c \
	guest/init/distro_config.c guest/init/cmdline.c

$(foreach t,distro_tree distro_differs,\
	$(eval $(t)_SRCS := qemu-test/unit/$(t)_test.c \
		qemu-test/unit/distro_made.c \
		$(addprefix guest/init/,distro_tree.c distro_tree_copy.c \
		distro_tree_compare.c distro_tree_clear.c distro_entry.c \
		distro_xattr.c distro_links.c distro_mount.c)))

init_cache_SRCS := qemu-test/unit/init_cache_test.c \
	guest/init/cache_policy.c

init_log_SRCS := qemu-test/unit/init_log_test.c

init_net_SRCS := qemu-test/unit/init_net_test.c guest/init/cmdline.c

init_reset_SRCS := qemu-test/unit/init_reset_test.c guest/init/net_reset.c \
	guest/init/diag.c

init_ports_SRCS := qemu-test/unit/init_ports_test.c \
	$(addprefix guest/init/,diag.c ports_set.c ports_bpf.c ports_diag.c)

agent_proto_SRCS := qemu-test/unit/agent_proto_test.c guest/init/agent_proto.c

AGENT_SESSION := guest/init/agent_session.c guest/init/agent_start.c \
	guest/init/user.c guest/init/agent_proto.c \
	guest/init/agent_watch.c guest/init/agent_fork.c \
	qemu-test/unit/agent_no_host.c
$(foreach t,agent_session agent_start,\
	$(eval $(t)_SRCS := qemu-test/unit/$(t)_test.c \
		qemu-test/unit/agent_client.c $(AGENT_SESSION))\
	$(eval $(t)_CFLAGS := -Iqemu-test/unit))

agent_clock_SRCS := qemu-test/unit/agent_clock_test.c guest/init/agent_clock.c \
	guest/init/cmdline.c

agent_ready_SRCS := qemu-test/unit/agent_ready_test.c guest/init/agent_ready.c

agent_9p_SRCS := qemu-test/unit/agent_9p_test.c guest/init/agent_9p.c \
	guest/init/agent_9p_ops.c guest/init/agent_9p_fid.c \
	guest/init/agent_9p_text.c proto/p9_codec.c \
	$(AGENT_SESSION)

user_SRCS := qemu-test/unit/user_test.c guest/init/user.c
UNIT_TESTS += init_sockets
init_sockets_SRCS := qemu-test/unit/init_sockets_test.c \
	$(addprefix guest/init/sockets_,relay.c fds.c) \
	host-bridge/sockets/sockets_frame.c
