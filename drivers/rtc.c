/* SPDX-License-Identifier: MIT */
/*
 * MC146818 real-time clock: read once at start; time goes on by the TSC.
 * [MC146818 data sheet, "Time, Calendar, and Alarm Locations"]
 */
#include <stdbool.h>

#include "drivers/portio.h"
#include "drivers/rtc.h"

#define PORT_INDEX	0x70
#define PORT_DATA	0x71
#define NMI_DISABLE	0x80u	/* kept as firmware leaves it: enabled */

enum { REG_SEC = 0, REG_MIN = 2, REG_HOUR = 4, REG_DAY = 7, REG_MONTH = 8,
       REG_YEAR = 9, REG_A = 10, REG_B = 11 };

#define REG_A_UIP	0x80u	/* update in progress */
#define REG_B_24H	0x02u
#define REG_B_BINARY	0x04u
#define HOUR_PM		0x80u
#define MAX_POLLS	20000

/* Index and data port: two accesses, which nothing here interrupts. */
static uint8_t rtc_register(uint8_t reg)
{
	port_out8(PORT_INDEX, reg & (uint8_t)~NMI_DISABLE);
	return port_in8(PORT_DATA);
}

static unsigned field(uint8_t raw, uint8_t reg_b)
{
	return reg_b & REG_B_BINARY ? raw : (raw >> 4) * 10u + (raw & 15u);
}

/* Days from 1970-01-01 to a date of 2000..2099. */
static uint64_t days(unsigned year, unsigned month, unsigned day)
{
	static const uint16_t before[12] = {
		0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334
	};
	unsigned since_2000 = year - 2000;

	return 10957 + since_2000 * 365ull + (since_2000 + 3) / 4 +
	       before[month - 1] + (month > 2 && year % 4 == 0) + day - 1;
}

/**
 * Reads the clock, between two updates. BCD and binary, 12 and 24 hours as
 * status register B says; the century is taken to be the 21st.
 */
uint64_t rtc_read(void)
{
	unsigned sec, min, hour, day, month, year;
	uint8_t reg_b, raw_hour;
	int polls = 0;

	do {
		while (rtc_register(REG_A) & REG_A_UIP) {
			if (++polls > MAX_POLLS) {
				return 0;	/* all ones: no clock */
			}
		}
		reg_b = rtc_register(REG_B);
		sec = field(rtc_register(REG_SEC), reg_b);
		min = field(rtc_register(REG_MIN), reg_b);
		raw_hour = rtc_register(REG_HOUR);
		day = field(rtc_register(REG_DAY), reg_b);
		month = field(rtc_register(REG_MONTH), reg_b);
		year = 2000 + field(rtc_register(REG_YEAR), reg_b);
	} while (field(rtc_register(REG_SEC), reg_b) != sec);
	hour = field(raw_hour & (uint8_t)~HOUR_PM, reg_b);
	if (!(reg_b & REG_B_24H)) {
		hour = hour % 12 + (raw_hour & HOUR_PM ? 12 : 0);
	}
	if (sec > 59 || min > 59 || hour > 23 || day < 1 || day > 31 ||
	    month < 1 || month > 12 || year > 2099) {
		return 0;
	}
	return ((days(year, month, day) * 24 + hour) * 60 + min) * 60 + sec;
}
