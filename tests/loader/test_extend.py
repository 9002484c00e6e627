# SPDX-License-Identifier: GPL-3.0-or-later
"""`extend` with Python scripts: finding, loading, listing, refusing, unloading."""

from __future__ import annotations

import pytest

from .programs import KIT_COMMANDS
from .story import Place, Said


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("release", "pyextend.so was built for crash 1.2.3 and this is"),
        ("layout", "pyextend.so was built for another crash than this"),
    ],
)
def test_a_loader_for_another_crash_says_so_and_stays_out(
    said: Said, name: str, reason: str
) -> None:
    first, second = said[f"wrong {name}"].splitlines()
    assert first.startswith(f"extend: {reason}")
    assert first.endswith(": build it again")
    assert second == f"extend: ./wrong_{name}.so: no commands registered: shared object unloaded"


def test_where_epython_is_it_gets_the_script(said: Said, place: Place) -> None:
    assert said["handed over"] == f"epython: <{place.work}/kit.py>\n"
    assert f"{place.work}/kit.py" not in said["nothing of ours"]
    assert said["handed over for good"] == (
        "extend: kit.py: PyKdump has its commands, and keeps them until crash ends\n"
    )


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("bad_raise", "on purpose"),
        ("bad_syntax", "invalid syntax (bad_syntax.py, line 1)"),
        ("bad_nothing", "no commands registered: script not loaded"),
        ("bad_exit", "no commands registered: script not loaded"),
    ],
)
def test_a_script_that_fails_is_one_clear_line(
    said: Said, place: Place, script: str, reason: str
) -> None:
    assert said[script] == f"extend: {place.work}/{script}.py: {reason}\n"


def test_a_script_that_is_not_there(said: Said) -> None:
    assert said["missing"] == "extend: no_such_script.py: No such file or directory\n"


def test_failed_scripts_leave_nothing_behind(said: Said) -> None:
    assert ".py" not in said["none loaded"]
    assert said["never"] == "crash: command not found: never\n"


def test_a_command_of_crash_is_not_taken_over(said: Said, place: Place) -> None:
    path = f"{place.work}/bad_clash.py"
    assert said["bad_clash"].splitlines() == [
        f'extend: {path}: "kmem" is a duplicate of a currently-existing command',
        "False",
        f"extend: {path}: no commands registered: script not loaded",
    ]


def test_the_free_names_of_a_script_are_registered_once(said: Said) -> None:
    results = [line for line in said["half_clash"].splitlines() if line in ("True", "False")]
    assert results == ["False", "True", "False"]
    assert said["mine"] == "mine runs\n"


def test_an_alias_gives_way(said: Said) -> None:
    assert "hello" in said["alias"]
    assert said["loaded"].splitlines()[0] == (
        'extend: alias "hello" deleted: name clash with extension command'
    )


def test_scripts_and_shared_objects_in_one_line(said: Said, place: Place) -> None:
    assert said["loaded"].splitlines()[1:] == [
        f"{place.work}/kit.py: script loaded",
        "./other.so: shared object loaded",
    ]
    assert said["other"] == "other: <x>\n"


def test_extend_lists_scripts_with_their_commands(said: Said, place: Place) -> None:
    rows = [line.split() for line in said["listed"].splitlines()]
    assert rows[0] == ["SHARED", "OBJECT", "COMMANDS"]
    assert [f"{place.work}/kit.py", *KIT_COMMANDS] in rows
    assert [str(place.loader)] in rows


def test_loading_twice_says_so(said: Said, place: Place) -> None:
    assert said["again"] == f"{place.work}/kit.py: script already loaded\n"
    assert said["loader again"] == f"{place.loader}: shared object already loaded\n"


def test_scripts_are_found_where_crash_looks_and_beside_the_loader(
    said: Said, place: Place
) -> None:
    lib = place.loader.parent
    found = {
        "by path": place.work / "below" / "deep.py",
        "by variable": place.work.parent / "variable" / "by_variable.py",
        "beside": lib / "beside.py",
        "in crash_ext": lib / "crash_ext" / "in_crash_ext.py",
        "above": lib.parent / "crash_ext" / "above.py",
    }
    for name, path in found.items():
        assert said[name] == f"{path}: script loaded\n"
        assert f"from_{path.stem}" in said["four more"]


def test_scripts_are_unloaded_by_name_by_path_and_several_at_once(said: Said, place: Place) -> None:
    lib = place.loader.parent
    assert said["unload basename"] == f"{place.work}/below/deep.py: script unloaded\n"
    assert said["unload path"].splitlines() == [
        f"{lib}/beside.py: script unloaded",
        f"{lib}/crash_ext/in_crash_ext.py: script unloaded",
    ]
    assert said["unload stranger"] == "extend: edited.py: not loaded\n"
    assert said["unload kit"] == f"{place.work}/kit.py: script unloaded\n"
    assert said["kit gone"] == "crash: command not found: counter\n"


def test_what_is_loaded_again_is_what_lies_there_now(said: Said, place: Place) -> None:
    assert said["kit back"] == f"{place.work}/kit.py: script loaded\n"
    assert said["counter anew"] == "call 101\n"


def test_a_running_program_does_not_lose_its_own_script(said: Said) -> None:
    assert said["unloader"] == "extend: kit.py: not while a Python program is running\n"


def test_the_loader_goes_with_its_scripts_and_comes_back(said: Said, place: Place) -> None:
    assert said["unload loader"].splitlines()[-1] == f"{place.loader}: shared object unloaded"
    assert f"{place.work}/kit.py: script unloaded" in said["unload loader"]
    assert ".py" not in said["asleep list"]
    assert str(place.loader) not in said["asleep list"]
    assert said["asleep"] == "extend: ./kit.py: not an ELF format object file\n"
    assert said["awake"].splitlines() == [
        f"{place.loader}: shared object loaded",
        f"{place.work}/kit.py: script loaded",
    ]
    assert said["counter awake"] == "call 101\n"


def test_extend_u_alone_unloads_everything_and_crash_goes_on(said: Said, place: Place) -> None:
    assert said["unload all"].splitlines() == [
        f"{place.work}/kit.py: script unloaded",
        f"{place.loader}: shared object unloaded",
        "./other.so: shared object unloaded",
        "./mark.so: shared object unloaded",
        "crash: command not found: hello",
        said["unload all"].splitlines()[-1],
    ]
    assert said["unload all"].endswith(" = 42\n")
