# SPDX-License-Identifier: GPL-3.0-or-later
"""The loader, build/pyextend.so, in real crash on a real dump."""
