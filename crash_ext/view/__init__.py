# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command shows: slabs with their objects, groups, notes beside contents, the page.

Chooses what is printed and in which order; crash_ext.report has the form of each line.
"""
