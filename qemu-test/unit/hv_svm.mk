# SPDX-License-Identifier: MIT
# Unit tests of the AMD-V backend's pure parts.
UNIT_TESTS += hv_svm
hv_svm_SRCS := qemu-test/unit/hv_svm_test.c hypervisor/svm/decode.c \
	hypervisor/svm/check.c
