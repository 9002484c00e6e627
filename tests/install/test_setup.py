# SPDX-License-Identifier: GPL-3.0-or-later
"""What make calls to set a machine up: packages, the choice of a Python, requirements."""

from __future__ import annotations

import json
import pathlib
import re
import shlex
import shutil
import subprocess
from typing import Dict, List

import pytest

from tests.install.machine import TOP, base_python


class Fake:
    """A folder of programs to be found before all others, and what they were called with."""

    def __init__(self, where: pathlib.Path) -> None:
        self.bin = where / "bin"
        self.bin.mkdir()
        self.log = where / "log"
        self.log.touch()
        # bash and what the scripts use of the system, but no apt and no dpkg of its own.
        for name in ("bash", "cat", "dirname", "grep", "mkdir", "sh"):
            (self.bin / name).symlink_to(str(shutil.which(name)))

    def program(self, name: str, script: str) -> None:
        path = self.bin / name
        logged = f'echo {name} "$@" >>{shlex.quote(str(self.log))}\n'
        path.write_text(f"#!/bin/sh\n{logged}{script}\n")
        path.chmod(0o755)

    def calls(self) -> List[str]:
        return self.log.read_text().splitlines()

    def environment(self) -> Dict[str, str]:
        return {"PATH": str(self.bin), "LC_ALL": "C"}


@pytest.fixture(name="fake")
def fixture_fake(tmp_path: pathlib.Path) -> Fake:
    return Fake(tmp_path)


def run(fake: Fake, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(TOP / ".ci" / script), *arguments],
        env=fake.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def debian(fake: Fake, installed: str, user: int = 0) -> None:
    """dpkg that knows these packages, and an apt-get that does nothing."""
    fake.program(
        "dpkg-query",
        f'for last; do :; done\ncase " {installed} " in *" $last "*) echo installed ;;\n'
        "*) echo not-installed ;; esac",
    )
    fake.program("apt-get", "")
    fake.program("id", f"echo {user}")


def apt_calls(fake: Fake) -> List[str]:
    return [call for call in fake.calls() if call.startswith("apt-get")]


def test_nothing_is_installed_when_nothing_is_missing(fake: Fake) -> None:
    debian(fake, "crash cpio", user=1000)
    done = run(fake, "packages", "crash", "cpio")
    assert (done.returncode, done.stdout) == (0, "")
    assert apt_calls(fake) == []


def test_only_missing_packages_are_installed_after_one_update(fake: Fake) -> None:
    debian(fake, "crash")
    done = run(fake, "packages", "crash", "cpio", "zstd")
    assert done.returncode == 0, done.stdout
    assert done.stdout == "packages: installing cpio zstd\n"
    update, install = apt_calls(fake)
    assert update.startswith("apt-get update ")
    assert re.search(r" install .*\bcpio zstd\b", install)
    assert "crash" not in install


def test_who_is_not_root_is_told_what_to_do(fake: Fake) -> None:
    debian(fake, "crash", user=1000)
    done = run(fake, "packages", "crash", "cpio")
    assert done.returncode == 1
    assert re.search(r"^packages: as root, run: apt-get update && .* cpio$", done.stdout, re.M)
    assert apt_calls(fake) == []


def test_failing_apt_stops_it(fake: Fake) -> None:
    debian(fake, "")
    fake.program("apt-get", "echo Err:1 crash; echo E: no such host; echo E: more; exit 100")
    done = run(fake, "packages", "crash")
    assert done.returncode == 100
    assert done.stdout == (
        "packages: installing crash\npackages: apt-get update: exit status 100: no such host\n"
    )


def test_elsewhere_than_on_debian_it_names_the_packages_and_goes_on(fake: Fake) -> None:
    done = run(fake, "packages", "crash", "cpio")
    assert done.returncode == 0
    assert done.stdout.endswith("crash cpio\n")


def test_default_python_that_cannot_be_embedded_gives_way_to_the_systems(fake: Fake) -> None:
    fake.program("python3", "echo static >&2; exit 1")
    done = run(fake, "python", "choose", "python3", "file")
    assert done.returncode == 0
    assert done.stdout == "python: python3: static; taking /usr/bin/python3\n/usr/bin/python3\n"


def test_python_asked_for_is_refused_in_one_line(fake: Fake, tmp_path: pathlib.Path) -> None:
    fake.program("python3", "echo 'was built without a shared libpython' >&2; exit 1")
    written = tmp_path / "python.env"
    done = run(fake, "python", "write", "python3", "command line", str(written))
    assert done.returncode == 1
    path = fake.bin / "python3"
    assert done.stdout == f"python: {path} was built without a shared libpython\n"
    assert not written.exists()


def test_good_python_is_written_down_once(fake: Fake, tmp_path: pathlib.Path) -> None:
    written = tmp_path / "new" / "python.env"
    command = ("python", "write", base_python(), "command line", str(written))
    done = run(fake, *command)
    assert (done.returncode, done.stdout) == (0, "")
    text = written.read_text()
    assignments = dict(shlex.split(line)[0].split("=", 1) for line in text.splitlines())
    assert sorted(assignments) == ["PY", "PY_CFLAGS", "PY_LIBS"]
    headers = pathlib.Path(assignments["PY_CFLAGS"].split()[-1])
    assert (headers / "Python.h").is_file()
    assert pathlib.Path(assignments["PY_LIBS"].split()[0]).is_file()
    before = written.stat().st_mtime_ns
    assert run(fake, *command).returncode == 0
    assert written.stat().st_mtime_ns == before
    written.write_text("another\n")
    assert run(fake, *command).returncode == 0
    assert written.read_text() == text


def test_headers_that_are_unpacked_but_not_installed_will_do(
    fake: Fake, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a machine where python3-devel can't be installed: the library's link is in it, too."""
    lacks = {"LDLIBRARY": "libpython9.so", "INCLUDEPY": "/nowhere"}
    (fake.bin / "python").write_text(
        '#!/bin/sh\n[ "$2" = - ] || { echo "$0"; exit; }\n'
        f"exec {base_python()} -I -c 'import sys, sysconfig\n"
        "real = sysconfig.get_config_var\n"
        f"sysconfig.get_config_var = lambda name: {json.dumps(lacks)}.get(name) or real(name)\n"
        "exec(sys.stdin.read())'\n"
    )
    (fake.bin / "python").chmod(0o755)
    refused = run(fake, "python", "write", "python", "command line", str(tmp_path / "env"))
    assert refused.returncode == 1
    assert "lacks /nowhere/Python.h (Debian: python3-dev, RHEL: python3-devel)" in refused.stdout
    include = tmp_path / "usr/include/python3"
    include.mkdir(parents=True)
    (include / "Python.h").touch()
    environment = {**fake.environment(), "PYTHON_INCLUDE": str(include)}
    monkeypatch.setattr(fake, "environment", lambda: environment)
    taken = run(fake, "python", "write", "python", "command line", str(tmp_path / "env"))
    assert taken.returncode == 0, taken.stdout
    written = (tmp_path / "env").read_text()
    assert f"-isystem {include} -isystem {include.parent}" in written
    assert re.search(r"libpython3\.\d+\.so\.1\.0", written)


def test_requirements_are_those_of_setup_cfg() -> None:
    def lines(*extras: str) -> List[str]:
        command = [base_python(), str(TOP / ".ci" / "requirements"), *extras]
        return subprocess.check_output(command, text=True).split()

    assert [re.split("[<>=]", line)[0] for line in lines()] == ["tabulate"]
    names = {re.split("[<>=]", line)[0] for line in lines("test")}
    assert {"tabulate", "pytest", "mypy", "ruff"} < names
