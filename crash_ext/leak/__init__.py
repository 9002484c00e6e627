# SPDX-License-Identifier: GPL-3.0-or-later
"""Which caches were left behind or share a name, and which cache an argument selects.

Knows crash_ext.slub and what lies below it; not why objects are still there.
"""
