# SPDX-License-Identifier: MIT
# Unit tests of the screen and of keyboards.
UNIT_TESTS += fbtext
fbtext_SRCS := qemu-test/unit/fbtext_test.c text/fbtext.c build/text/font.c
