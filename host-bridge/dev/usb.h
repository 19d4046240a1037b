/* SPDX-License-Identifier: MIT */
/* USB controllers of the host partition, for their keyboards. */
#ifndef ISTHMUS_USB_H
#define ISTHMUS_USB_H

/* Takes those that PCI has. After pci_init() and dma_init(). */
void usb_init(void);

#endif
