# SPDX-License-Identifier: GPL-3.0-or-later
"""The tool's version. A file loaded by crash has no package metadata to ask: a test holds
this equal to setup.cfg's."""

TOOL_VERSION = "0.1.0"
