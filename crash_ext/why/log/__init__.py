# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel log's reports about a cache: parsed, matched with what the dump holds, told."""
