/* SPDX-License-Identifier: MIT */
/* Reset and power-off of the machine, without ACPI. */
#ifndef ISTHMUS_POWER_H
#define ISTHMUS_POWER_H

/* Both return only when nothing worked. */
void power_reboot(void);
void power_off(void);

#endif
