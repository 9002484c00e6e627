# SPDX-License-Identifier: GPL-3.0-or-later
"""What it means: which caches were left behind, what is still in them, and why.

Knows crash_ext.slub and crash_ext.reader; not crash, not how a finding is shown.
"""
