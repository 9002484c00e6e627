# SPDX-License-Identifier: GPL-3.0-or-later
"""One room, one idea at a time, without a kernel: over the mocks' memory or plain values."""
