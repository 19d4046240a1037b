# SPDX-License-Identifier: MIT
# The server and the volume as a program, for suites/run --here.
build/suites/serve: qemu-test/suites/serve.c $(VOLUME_SRCS) \
		$(FUSE_SERVER_SRCS) \
		$(wildcard $(addprefix host-bridge/, files/fuse*.h blk/*.h fs/*.h fs/*/*.h))
	@mkdir -p $(@D)
	gcc $(UNIT_FLAGS) -o $@ $(filter %.c,$^) -lext2fs -lcom_err
