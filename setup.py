# SPDX-License-Identifier: GPL-3.0-or-later
"""The innermost loops in C for `pip install .`: the loader for crash has them built in.

Everything else stands in setup.cfg. Without a compiler there are none, and nothing is lost
but time.
"""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "_slableak",
            ["crash_ext/host/native.c"],
            extra_compile_args=["-std=gnu11", "-O2"],
            optional=True,
        )
    ]
)
