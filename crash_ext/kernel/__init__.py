# SPDX-License-Identifier: GPL-3.0-or-later
"""Any kernel's structures, nothing of slabs: lists, modules, tasks, vmalloc areas, page searches.

What a kernel looks like is asked, never concluded from its version. Knows crash_ext.reader
and the plain values of crash_ext.report; no host, no cache, no object.
"""
