# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl-C at a chosen call of the C library, where no finger is fast enough.

A library to preload: it raises SIGINT behind the so many'th call that the file `pounce` in
the current folder names, once, and removes the file.
"""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path

_SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void pounce(const char *call)
{
    static int calls, last;
    char name[32] = "";
    int number = 0, time = 0;
    FILE *file = fopen("pounce", "r");

    if (!file)
        return;
    fscanf(file, "%31s %d %d", name, &number, &time);
    fclose(file);
    if (strcmp(name, call))
        return;
    calls = time == last ? calls + 1 : 1;
    last = time;
    if (calls == number) {
        unlink("pounce");
        raise(SIGINT);
    }
}

/* Python calls it as it starts. */
char *setlocale(int category, const char *locale)
{
    char *(*next)(int, const char *) = dlsym(RTLD_NEXT, "setlocale");
    char *result = next(category, locale);

    pounce("setlocale");
    return result;
}

/* By the loader or its Python, not by crash. */
static int is_ours(const void *caller)
{
    Dl_info where;

    return dladdr(caller, &where) && where.dli_fname &&
           (strstr(where.dli_fname, "pyextend") || strstr(where.dli_fname, "libpython"));
}

/* Who gets Ctrl-C changes. */
int sigaction(int number, const struct sigaction *action, struct sigaction *before)
{
    int (*next)(int, const struct sigaction *, struct sigaction *) =
        dlsym(RTLD_NEXT, "sigaction");
    int result = next(number, action, before);

    if (number == SIGINT && action && is_ours(__builtin_return_address(0)))
        pounce("sigaction");
    return result;
}
"""


_times = itertools.count(1)


class Pounce:
    """Arms and disarms the library for a crash that runs in the folder."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "pounce"

    def arm(self, call: str, number: int = 1) -> None:
        """Raise SIGINT behind that call of `setlocale` or the loader's `sigaction` from now on."""
        self._file.write_text(f"{call} {number} {next(_times)}")

    def disarm(self) -> bool:
        """Has it happened?"""
        if self._file.exists():
            self._file.unlink()
            return False
        return True


def compile_pounce(target: Path) -> Path:
    """The library."""
    source = target.with_suffix(".c")
    source.write_text(_SOURCE)
    subprocess.run(["cc", "-w", "-fPIC", "-shared", "-o", str(target), str(source)], check=True)
    return target
