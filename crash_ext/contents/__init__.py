# SPDX-License-Identifier: GPL-3.0-or-later
"""What words and objects are: list heads, pointers, texts, like objects, types.

Knows crash_ext.places and what lies below it; describes contents, draws no conclusion.
"""
