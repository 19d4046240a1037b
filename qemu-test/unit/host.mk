# SPDX-License-Identifier: MIT
# Unit tests of host-bridge's pure parts.

UNIT_TESTS += host_elf_image
host_elf_image_SRCS := qemu-test/unit/host_elf_image_test.c \
	$(addprefix host-bridge/guest/, elf_image.c linux_image.c)
UNIT_TESTS += host_save host_linux_image host_linux_initrd host_models host_linux_io \
	host_linux_life host_loop host_console host_log_view host_agent_frame \
	host_agent host_files host_mem host_trap host_heap host_pci

host_linux_image_SRCS := qemu-test/unit/host_linux_image_test.c \
	host-bridge/guest/linux_image.c host-bridge/guest/linux_acpi.c
host_linux_initrd_SRCS := qemu-test/unit/host_linux_initrd_test.c \
	host-bridge/guest/linux_initrd.c
host_save_SRCS := qemu-test/unit/host_save_test.c \
	host-bridge/guest/linux_save.c
host_models_SRCS := qemu-test/unit/host_models_test.c \
	host-bridge/guest/pci_model.c host-bridge/guest/uart_model.c
host_linux_io_SRCS := qemu-test/unit/host_linux_io_test.c \
	$(addprefix host-bridge/, guest/linux_io.c guest/linux_says.c \
		loop/loop.c guest/pci_model.c guest/uart_model.c)
# As host-bridge is built: hypercalls use the stack.
host_linux_io_CFLAGS := -mno-red-zone
# All of the room: its files use each other.
host_linux_life_SRCS := qemu-test/unit/host_linux_life_test.c \
	$(wildcard host-bridge/guest/*.c) host-bridge/loop/loop.c \
	host-bridge/rt/wall.c host-bridge/rt/legacy.c
host_linux_life_CFLAGS := -mno-red-zone
host_loop_SRCS := qemu-test/unit/host_loop_test.c host-bridge/loop/loop.c
host_loop_CFLAGS := -mno-red-zone -include qemu-test/unit/fake/clock.h
host_console_SRCS := qemu-test/unit/host_console_test.c \
	host-bridge/ui/line_edit.c host-bridge/ui/words.c
host_console_LIBS := -Wl,--wrap=strdup
UNIT_TESTS += host_session_as
host_session_as_SRCS := qemu-test/unit/host_session_as_test.c \
	host-bridge/ui/session_as.c host-bridge/ui/words.c
host_session_as_LIBS := -Wl,--wrap=printf,--wrap=puts
host_log_view_SRCS := qemu-test/unit/host_log_view_test.c \
	host-bridge/ui/log_view.c
host_agent_frame_SRCS := qemu-test/unit/host_agent_frame_test.c \
	host-bridge/agent/agent_frame.c
host_agent_SRCS := qemu-test/unit/host_agent_test.c \
	host-bridge/agent/agent.c host-bridge/agent/agent_frame.c
host_files_SRCS := qemu-test/unit/host_files_test.c \
	host-bridge/ui/commands_files.c host-bridge/ui/commands_complete.c \
	host-bridge/ui/words.c \
	qemu-test/unit/host_no_watch.c
host_files_CFLAGS := -include qemu-test/unit/newlib.h
host_trap_SRCS := qemu-test/unit/host_trap_test.c host-bridge/rt/trap.c \
	host-bridge/rt/sink.c host-bridge/rt/black_box.c host-bridge/rt/notice.c \
	host-bridge/rt/legacy.c
host_mem_SRCS := qemu-test/unit/host_mem_test.c \
	qemu-test/unit/host_mem_names.S
host_heap_SRCS := qemu-test/unit/host_heap_test.c host-bridge/rt/heap.c
host_pci_SRCS := qemu-test/unit/host_pci_test.c host-bridge/dev/pci.c \
	host-bridge/dev/dma.c host-bridge/loop/loop.c
host_pci_CFLAGS := -mno-red-zone
UNIT_TESTS += host_legacy
host_legacy_SRCS := qemu-test/unit/host_legacy_test.c host-bridge/rt/legacy.c
UNIT_TESTS += host_config
host_config_SRCS := qemu-test/unit/host_config_test.c host-bridge/rt/config.c
build/unit/host_config: build/unit/libfdt.o build/unit/isthmus.dtb
host_config_CFLAGS := -isystem build/deps/libfdt
host_config_NEEDS := build/deps/libfdt
UNIT_TESTS += host_notice_log
host_notice_log_SRCS := qemu-test/unit/host_notice_log_test.c \
	host-bridge/rt/notice_log.c
UNIT_TESTS += host_rtc
host_rtc_SRCS := qemu-test/unit/host_rtc_test.c host-bridge/dev/rtc.c
UNIT_TESTS += host_wall
host_wall_SRCS := qemu-test/unit/host_wall_test.c host-bridge/rt/wall.c \
	host-bridge/guest/linux_clock.c host-bridge/loop/loop.c
host_wall_CFLAGS := -mno-red-zone -include qemu-test/unit/fake/clock.h
UNIT_TESTS += host_json
host_json_SRCS := qemu-test/unit/host_json_test.c host-bridge/ui/json.c \
	host-bridge/ui/words.c
UNIT_TESTS += host_screen
host_screen_SRCS := qemu-test/unit/host_screen_test.c \
	host-bridge/ui/outbox.c host-bridge/ui/screen_size.c
UNIT_TESTS += host_commands
host_commands_SRCS := qemu-test/unit/host_commands_test.c \
	qemu-test/unit/fake/vsock.c \
	$(addprefix host-bridge/ui/,host_commands.c outbox.c words.c)
host_commands_CFLAGS := -include qemu-test/unit/newlib.h
UNIT_TESTS += host_socket
host_socket_SRCS := qemu-test/unit/host_socket_test.c \
	$(addprefix host-bridge/ui/,host_socket.c outbox.c)
SOCKETS_SRCS := qemu-test/unit/sockets_fixture.c \
	$(wildcard host-bridge/sockets/*.c) host-bridge/vsock/vsock_inbox.c
UNIT_TESTS += sockets sockets_own sockets_rules
sockets_SRCS := qemu-test/unit/sockets_test.c $(SOCKETS_SRCS)
sockets_rules_SRCS := qemu-test/unit/sockets_rules_test.c $(SOCKETS_SRCS)
sockets_own_SRCS := qemu-test/unit/sockets_own_test.c $(SOCKETS_SRCS)

UNIT_TESTS += host_seed
host_seed_SRCS := qemu-test/unit/host_seed_test.c
