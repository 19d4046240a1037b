# SPDX-License-Identifier: MIT
# Frames at the stack; lwIP is built with the fuzzer's flags as well.

FUZZ_NET_FLAGS := -include qemu-test/unit/fake/clock.h \
	-include qemu-test/unit/newlib.h $(LWIP_INCLUDES)
build/fuzz/lwip.a: $(LWIP_NEEDS) host-bridge/build.mk
	@mkdir -p $(@D)
	$(call LWIP_ARCHIVE,clang -g -O1 -std=gnu11 -fsanitize=fuzzer-no-link$(hv_comma)address$(hv_comma)undefined -fno-sanitize-recover=all -I. $(LWIP_INCLUDES),ar)

build/fuzz/net_stack_fuzz: qemu-test/fuzz/net_stack_fuzz.c build/fuzz/lwip.a \
		$(filter-out %/seed.c,$(NET_STACK_SRCS)) \
		$(wildcard host-bridge/net/*.h)
	clang $(FUZZ_FLAGS) $(FUZZ_INCLUDES) $(FUZZ_NET_FLAGS) -o $@ \
		$(filter %.c,$^) build/fuzz/lwip.a

# Leaks are found by the count of the heap: lwIP keeps pointers where they are not
# aligned, and the sanitizer does not see these.
.PHONY: fuzz-net-stack
fuzz-net-stack: build/fuzz/net_stack_fuzz
	$< -runs=$(FUZZ_RUNS) -seed=1 -max_len=1024 -timeout=60 \
		-detect_leaks=0 -artifact_prefix=build/fuzz/
