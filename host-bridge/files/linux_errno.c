/* SPDX-License-Identifier: MIT */
/* Errors, from this program's C library to Linux's, and back. */
#include <errno.h>
#include <stddef.h>

#include "host-bridge/files/linux_errno.h"

/* Numbers that C libraries do not agree on: on the left whatever the library in
 * use has, on the right Linux's.
 * [Linux "include/uapi/asm-generic/errno.h"] */
static const struct {
	int error;
	int32_t number;
} errors[] = {
	{ EDEADLK, 35 }, { ENAMETOOLONG, 36 }, { ENOLCK, 37 }, { ENOSYS, 38 },
	{ ENOTEMPTY, 39 }, { ELOOP, 40 }, { ENODATA, 61 }, { EPROTO, 71 },
	{ EOVERFLOW, 75 }, { EMSGSIZE, 90 }, { EPROTONOSUPPORT, 93 },
	{ EOPNOTSUPP, 95 }, { ENOBUFS, 105 }, { ETIMEDOUT, 110 },
	{ ESTALE, 116 }, { EDQUOT, 122 },
};

#define ERRORS	(sizeof(errors) / sizeof(errors[0]))

/* 1 to 34 mean the same everywhere.
 * [Linux "include/uapi/asm-generic/errno-base.h"] */
#define EQUAL_UP_TO	34

/** Linux's number of an errno value; EIO's for one that it does not know. */
int32_t linux_errno(int error)
{
	if (error >= 0 && error <= EQUAL_UP_TO) {
		return error;
	}
	for (size_t i = 0; i < ERRORS; i++) {
		if (errors[i].error == error) {
			return errors[i].number;
		}
	}
	return EIO;
}

/**
 * The errno value of a number of Linux's; EIO if there is none. Never 0: nobody
 * makes an error look like success.
 */
int linux_errno_from(uint32_t number)
{
	if (number > 0 && number <= EQUAL_UP_TO) {
		return (int)number;
	}
	for (size_t i = 0; i < ERRORS; i++) {
		if ((uint32_t)errors[i].number == number) {
			return errors[i].error;
		}
	}
	return EIO;
}
