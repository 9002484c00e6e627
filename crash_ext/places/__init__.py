# SPDX-License-Identifier: GPL-3.0-or-later
"""What is at an address: an object, a variable, a stack, a module, a page.

Knows crash_ext.slub and crash_ext.kernel; names an address, judges nothing.
"""
