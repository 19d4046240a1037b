/* SPDX-License-Identifier: MIT */
/* Two services beside echo.h, for measuring. */
#ifndef ISTHMUS_MEASURE_H
#define ISTHMUS_MEASURE_H

/* Returns 0 or an errno value. */
int measure_start(void);

#endif
