# SPDX-License-Identifier: MIT
# DOCTOR.EFI: a program of its own beside the loader, which shares the loader's
# decoders and console, and the hypervisor's rules of VM entries.

DOCTOR_OUT := build/doctor
DOCTOR_SRCS := $(wildcard doctor/*.c) doctor/entry.S \
	$(addprefix boot/,acpi.c console.c iommu.c memmap.c pci_config.c screen.c serial.c \
	string.c) $(addprefix drivers/uart_,places.c poll.c regs.c) $(TEXT_SRCS) \
	hypervisor/vmx/check.c hypervisor/vmx/decode.c hypervisor/svm/check.c
DOCTOR_OBJS := $(addprefix $(DOCTOR_OUT)/,$(addsuffix .o,$(DOCTOR_SRCS)))

# loader.h's includes are the loader's, libfdt among them.
$(DOCTOR_OUT)/%.o: % | $(BOOT_LIBFDT)
	@mkdir -p $(@D)
	$(CC) $(BOOT_CFLAGS) -Ihypervisor/include $(BOOT_WARN) -c $< -o $@

$(DOCTOR_OUT)/doctor.so: $(DOCTOR_OBJS)
	$(BOOT_LINK)

$(DOCTOR_OUT)/DOCTOR.EFI: $(DOCTOR_OUT)/doctor.so
	$(BOOT_EFI)

-include $(DOCTOR_OBJS:.o=.d)
