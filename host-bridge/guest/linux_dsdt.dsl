/* SPDX-License-Identifier: MIT */
/*
 * What Linux must know of its machine beyond memory and processors: a PCI root
 * whose devices use message-signalled interrupts only (so there is no _PRT), a
 * serial port without interrupt, and how to power off. Addresses as in
 * abi/channel.h, pci_model.h, uart_model.h and linux_acpi.h.
 */
DefinitionBlock ("", "DSDT", 2, "ISTHMU", "ISTHMUS", 1)
{
	/* Sleep type 5 in the sleep control register: power off. */
	Name (_S5, Package () { 5, 0, 0, 0 })

	Scope (\_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A03"))
			Name (_UID, 0)
			Name (_BBN, 0)
			Name (_SEG, 0)
			Name (_CRS, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed,
					MaxFixed, PosDecode,
					0, 0, 0, 0, 1)
				IO (Decode16, 0xcf8, 0xcf8, 1, 8)
				/* Registers, MSI-X pages and regions of four
				 * channels, and no more: a device that Linux
				 * finds anew gets the first place that fits,
				 * and BARs do not move. */
				WordIO (ResourceProducer, MinFixed, MaxFixed,
					PosDecode, EntireRange,
					0, 0xc000, 0xc07f, 0, 0x80)
				DWordMemory (ResourceProducer, PosDecode,
					MinFixed, MaxFixed, Cacheable,
					ReadWrite,
					0, 0xe0000000, 0xe0003fff, 0, 0x4000)
				DWordMemory (ResourceProducer, PosDecode,
					MinFixed, MaxFixed, Cacheable,
					ReadWrite,
					0, 0xe4000000, 0xf3ffffff, 0,
					0x10000000)
			})
		}

		Device (COM1)
		{
			Name (_HID, EisaId ("PNP0501"))
			Name (_UID, 0)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x3f8, 0x3f8, 1, 8)
			})
		}

		/* Keeps others off the reset and sleep registers. */
		Device (PWRR)
		{
			Name (_HID, EisaId ("PNP0C02"))
			Name (_UID, 1)
			Name (_CRS, ResourceTemplate ()
			{
				IO (Decode16, 0x600, 0x600, 1, 16)
			})
		}
	}
}
