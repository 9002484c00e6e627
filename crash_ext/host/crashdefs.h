/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * crash's own header, which isn't ours to make free of warnings.
 *
 * It finds out the machine by itself (X86_64 and so on). The GDB_* macros that crash's
 * Makefile defines only number gdb's type codes, which nothing here uses.
 */
#ifndef PYEXTEND_CRASHDEFS_H
#define PYEXTEND_CRASHDEFS_H
#pragma GCC system_header
#include <defs.h>
#endif
