# SPDX-License-Identifier: GPL-3.0-or-later
"""The allocator, decoded: caches, slabs, freelists, per-CPU slabs, debug metadata.

What a kernel looks like is asked, never concluded from its version. Knows crash_ext.kernel
and crash_ext.reader; not the host, not what a finding means, not how it is shown.
"""
