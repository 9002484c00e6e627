# SPDX-License-Identifier: GPL-3.0-or-later
"""Who reaches what: the pointers to an object, in all of memory.

Knows crash_ext.places and what lies below it; tells who points, not what that means.
"""
