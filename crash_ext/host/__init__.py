# SPDX-License-Identifier: GPL-3.0-or-later
"""The only folder that knows crash: its symbols, members, memory, and how it is extended.

Whatever is asked of the kernel goes through the functions of the module `crash`, which
PyKdump has built in and our loader (the C files here) provides on stock crash. May import
crash_ext.reader, whose protocol it fulfils, and no other folder.
"""
