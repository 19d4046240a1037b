# SPDX-License-Identifier: MIT
# libFuzzer on the files of saved templates: make fuzz-save FUZZ_SECONDS=600; until
# it has had so many runs of all times: make fuzz-save RUNS=1000000

# Small pieces, and units of memory.
build/fuzz/small/host-bridge/ui/commands_save.c: host-bridge/ui/commands_save.c
	@mkdir -p $(@D)
	@sed -E -e '/define PIECE\s/s/64u/8u/' -e '/define UNIT\s/s/2u << 20/16u << 10/' \
		$< >$@

# CPUID takes long where this computer is a virtual machine; any words do.
build/fuzz/small/host-bridge/guest/linux_template.c: host-bridge/guest/linux_template.c
	@mkdir -p $(@D)
	@sed -e 's/"cpuid"/"mov %%eax, %%ebx; mov %%eax, %%edx"/' $< >$@

build/fuzz/save: qemu-test/fuzz/save_fuzz.c qemu-test/fuzz/save_world.c \
		qemu-test/fuzz/save_world.h qemu-test/unit/host_hc.h \
		build/fuzz/small/host-bridge/ui/commands_save.c \
		build/fuzz/small/host-bridge/guest/linux_template.c \
		$(addprefix host-bridge/guest/,linux_save.c linux_io.c linux_says.c \
			pci_model.c uart_model.c) \
		$(wildcard host-bridge/guest/*.h host-bridge/ui/*.h)
	@mkdir -p $(@D)
	clang $(FILES_FUZZ_FLAGS) $(SCRIPT_FUZZ_FLAGS) -Wno-unused-parameter -mno-red-zone \
		-include qemu-test/unit/fake/clock.h \
		-fno-builtin-printf -Wl,--wrap=printf -o $@ $(filter %.c,$^)

# Inputs and totals stay in the cache, with RUNS.
.PHONY: fuzz-save
fuzz-save: build/fuzz/save
	@mkdir -p build/fuzz/save_corpus
	$(if $(RUNS),@qemu-test/fuzz/run $(RUNS) save,\
		build/fuzz/save $(FILES_FUZZ_RUN) build/fuzz/save_corpus)
