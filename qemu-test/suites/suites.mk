# SPDX-License-Identifier: MIT
# The server and the volume as a program, for suites/run --here.
serve_SRCS := qemu-test/suites/serve.c $(VOLUME_SRCS) $(FUSE_SERVER_SRCS)

build/suites/serve: $(call unit_objects,serve)
	@mkdir -p $(@D)
	gcc $(UNIT_FLAGS) -o $@ $^ -lext2fs -lcom_err
-include $(patsubst %.o,%.d,$(call unit_objects,serve))
