# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared objects for crash, compiled by the tests: the loader in odd shapes, tiny extensions."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path
from typing import List, Sequence

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "crash_ext" / "host").glob("*.c"))
CRASH_INCLUDE = Path(os.environ.get("CRASH_INCLUDE", "/usr/include/crash"))

COMMAND_C = """
#include <defs.h>

static void command(void)
{
    int i;

    fprintf(fp, "%s:", NAME);
    for (i = 1; i < argcnt; i++)
        fprintf(fp, " <%s>", args[i]);
    fprintf(fp, "\\n");
    fflush(fp);
}

static char *page[] = {NAME, "prints its arguments", "...", "  Prints them.", NULL};
static struct command_table_entry table[] = {{NAME, command, page, 0}, {NULL, NULL, NULL, 0}};

static void __attribute__((constructor)) arrive(void)
{
    register_extension(table);
}
"""


ALONE_C = """
#include <stdlib.h>

static void __attribute__((constructor)) arrive(void)
{
    unsetenv("LD_PRELOAD");
}
"""


def compile_alone(target: Path) -> Path:
    """A library to preload last: what is preloaded into crash isn't into ps, head, sh."""
    source = target.with_suffix(".c")
    source.write_text(ALONE_C)
    subprocess.run(["cc", "-w", "-fPIC", "-shared", "-o", str(target), str(source)], check=True)
    return target


def python_link() -> List[str]:
    """Linker arguments for the Python that runs the tests."""
    where = sysconfig.get_config_var("LIBDIR")
    return [f"-L{where}", f"-Wl,-rpath,{where}", f"-lpython{sysconfig.get_config_var('LDVERSION')}"]


def compile_loader(
    target: Path, options: Sequence[str] = (), include: Path = CRASH_INCLUDE
) -> subprocess.CompletedProcess[str]:
    """The loader by a command line of our own, so that no other build's flags count."""
    return subprocess.run(
        [
            *("cc", "-std=gnu11", "-fPIC", "-shared", "-Wall", "-Wextra", "-Wshadow", "-Werror"),
            *("-isystem", str(include), "-isystem", sysconfig.get_path("include"), *options),
            *("-o", str(target), *map(str, SOURCES), *python_link()),
        ],
        capture_output=True,
        text=True,
    )


def compile_command(target: Path, name: str, text: str = COMMAND_C) -> Path:
    """An extension with one command: it prints its arguments, or does what the text says."""
    source = target.with_suffix(".c")
    source.write_text(text)
    subprocess.run(
        [
            *("cc", "-w", "-fPIC", "-shared", "-I", str(CRASH_INCLUDE), f'-DNAME="{name}"'),
            *("-o", str(target), str(source)),
        ],
        check=True,
    )
    return target
