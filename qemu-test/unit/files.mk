# SPDX-License-Identifier: MIT
# Tests of the volume and of 9P.
VOLUME_SRCS := $(addprefix host-bridge/volume, .c _alloc.c _dir.c _file.c \
	_index.c _io.c _mem.c _name.c _path.c _rename.c _run.c _vnode.c \
	_xattr.c)
P9_SERVER_SRCS := $(addprefix host-bridge/p9_, codec.c server.c fid.c lock.c \
	ops_attr.c ops_file.c ops_name.c)

UNIT_TESTS += volume
volume_SRCS := qemu-test/unit/volume_test.c qemu-test/unit/volume_fixture.c \
	$(VOLUME_SRCS)
volume_LIBS := -lext2fs -lcom_err

UNIT_TESTS += p9_server
p9_server_SRCS := qemu-test/unit/p9_server_test.c \
	qemu-test/unit/volume_fixture.c $(VOLUME_SRCS) $(P9_SERVER_SRCS)
p9_server_LIBS := -lext2fs -lcom_err
