# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands by name, for whoever offers all of them."""

from __future__ import annotations

from typing import Dict

from crash_ext import slabdup, slablost, slabobjs, slabwhy
from crash_ext.command import Command

COMMANDS: Dict[str, Command] = {
    module.COMMAND.name: module.COMMAND for module in (slabdup, slabobjs, slabwhy, slablost)
}


def no_such_command(name: str) -> str:
    """The complaint about a name that no command has."""
    return f"{name}: no such command, but {', '.join(COMMANDS)}"
