# SPDX-License-Identifier: MIT
# Text for the loader, the hypervisor and host-bridge, which compile it each with
# their own flags; and the font as C.
TEXT_SRCS := text/fbtext.c text/fmt.c build/text/font.c

build/text/font.c: text/font.txt tools/make-font tools/isthmus_lib/font.py
	@mkdir -p $(@D)
	tools/make-font $@
