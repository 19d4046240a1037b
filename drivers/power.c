/* SPDX-License-Identifier: MIT */
/*
 * The machine's reset and power-off by well-known ports. Each way is tried
 * in turn; a port that is not there, or that the manifest does not give to
 * the host partition, swallows the write.
 */
#include "drivers/portio.h"
#include "drivers/power.h"

#define PORT_RESET_CONTROL	0xcf9	/* PIIX, ICH: "Reset Control Register" */
#define RST_CPU_SYSTEM		0x06u	/* hard reset of processor and system */
#define PORT_KBC_COMMAND	0x64
#define KBC_PULSE_RESET		0xfeu
#define PORT_BOCHS_SHUTDOWN	0x8900
/* PM1a control as OVMF places it; SLP_EN with SLP_TYP 0 is S5 on QEMU. */
#define PORT_PM1A_CNT_Q35	0x604
#define PORT_PM1A_CNT_PIIX4	0xb004
#define SLP_EN			0x2000u

/** The chipset's reset register, then the keyboard controller's pulse. */
void power_reboot(void)
{
	port_out8(PORT_RESET_CONTROL, RST_CPU_SYSTEM & 0x02);
	port_out8(PORT_RESET_CONTROL, RST_CPU_SYSTEM);
	port_out8(PORT_KBC_COMMAND, KBC_PULSE_RESET);
}

/** Bochs' own port, then the ACPI register where OVMF puts it on QEMU. */
void power_off(void)
{
	static const char shutdown[] = "Shutdown";

	for (const char *p = shutdown; *p; p++) {
		port_out8(PORT_BOCHS_SHUTDOWN, (uint8_t)*p);
	}
	port_out16(PORT_PM1A_CNT_Q35, SLP_EN);
	port_out16(PORT_PM1A_CNT_PIIX4, SLP_EN);
}
