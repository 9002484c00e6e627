# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages of any Debian release, fetched by apt with its own signature checks.

Each release has an apt root of its own in the cache folder: own sources, own state,
no package installed. The archive's addresses are those of this machine's own apt
sources, with the suite exchanged; nothing of the machine's apt is changed.
Knows apt and packages, not what the lab wants with them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple

from . import cache

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MAX_AGE = 24 * 3600.0
"""Seconds for which fetched package lists count as new."""

_updated: Set[str] = set()  # by this process, or tried in vain


class Unavailable(Exception):
    """A suite or package isn't to be had from this machine's archive; says why."""


def _stanzas(path: Path) -> Iterator[Dict[str, str]]:
    """The entries of a sources file, deb822 or one-line, as URIs/Suites/Signed-By."""
    text = "".join(
        line for line in path.read_text().splitlines(True) if not line.lstrip().startswith("#")
    )
    if path.suffix == ".sources":
        for block in re.split(r"\n\s*\n", text):
            yield {
                key.lower(): value.strip()
                for key, value in re.findall(r"(?m)^([\w-]+):((?:.*)(?:\n[ \t].*)*)", block)
            }
        return
    for options, uri, suite in re.findall(r"(?m)^deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)", text):
        key = re.search(r"signed-by=(\S+)", options)
        yield {"uris": uri, "suites": suite, "signed-by": key.group(1) if key else ""}


def machine_sources() -> Dict[str, Tuple[str, str]]:
    """{'': (URI, keyring), '-security': (URI, keyring)} of this machine's release."""
    release = dict(
        line.split("=", 1)
        for line in Path("/etc/os-release").read_text().splitlines()
        if "=" in line
    )
    codename = release.get("VERSION_CODENAME", "").strip('"')
    etc = Path("/etc/apt")
    found: Dict[str, Tuple[str, str]] = {}
    for path in [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))]:
        if not path.is_file() or path.suffix not in (".list", ".sources"):
            continue
        for entry in _stanzas(path):
            suites = entry.get("suites", "").split()
            for kind in ("", "-security"):
                if codename + kind in suites and kind not in found:
                    key = entry.get("signed-by", "")
                    uri = entry["uris"].split()[0]
                    found[kind] = (uri, key if key.startswith("/") else KEYRING)
    if "" not in found:
        raise Unavailable(f"this machine's apt sources have no suite {codename or '(unnamed)'}")
    return found


class Archive:
    """One release's packages, as this machine's archive has them.

    release: a suite's codename (bookworm), or one's backports (trixie-backports).
    architecture: Debian's name of it; an apt root knows one alone.
    """

    def __init__(self, release: str, architecture: str = "amd64") -> None:
        self.release = release
        self.base = release.split("-")[0]
        self.architecture = architecture
        foreign = "" if architecture == "amd64" else f"-{architecture}"
        self.root = cache.root() / "apt" / f"{release}{foreign}"
        self._env = dict(os.environ, APT_CONFIG=str(self.root / "apt.conf"), LC_ALL="C")

    def _suites(self) -> List[Tuple[str, str]]:
        """(suite, kind of source); the first ones must be there, the rest may lack."""
        suites = [(self.base, "")]
        if self.release != self.base:
            suites.append((self.release, ""))
        return [*suites, (f"{self.base}-security", "-security"), (f"{self.base}-updates", "")]

    def _configure(self, suites: List[Tuple[str, str]]) -> None:
        """Writes the apt root's configuration for these suites."""
        for folder in ("state/lists/partial", "cache/archives/partial", "sources.d"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        machine = machine_sources()
        text = ""
        for suite, kind in suites:
            uri, key = machine.get(kind, machine[""])
            text += (
                f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nSigned-By: {key}\n\n"
            )
        (self.root / "sources.d" / "lab.sources").write_text(text)
        dump = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True)
        # proxies and the like; whether an expired Release will do is this machine's to say, too
        kept = re.findall(r'(?m)^Acquire::(?:https?::|Check-Valid)\S+ ".+";$', dump.stdout)
        settings = {
            "Dir::State": self.root / "state",
            "Dir::State::status": self.root / "status",
            "Dir::Cache": self.root / "cache",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": self.root / "sources.d",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::Etc::trusted": "/dev/null",
            "Dir::Etc::trustedparts": "/dev/null",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "APT::Architecture": self.architecture,
            "APT::Architectures": self.architecture,
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        if self.release != self.base:  # a pin that would hide security updates elsewhere
            settings["APT::Default-Release"] = self.release
        lines = [f'{key} "{value}";' for key, value in settings.items()]
        (self.root / "apt.conf").write_text("\n".join([*lines, *kept]) + "\n")

    def _apt(self, *command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=1800)
        if done.returncode:
            raise Unavailable(f"{self.release}: {' '.join(command)}:\n{done.stderr.strip()}")
        return done

    def update(self) -> None:
        """Fetches the package lists, unless they are new.

        Where that fails, lists that were fetched earlier will do, with a word on stderr:
        what the cache has can be used without a network.
        """
        stamp = self.root / "updated"
        with cache.lock(f"apt-{self.root.name}"):
            if self.root.name in _updated or (
                stamp.exists() and time.time() - stamp.stat().st_mtime < MAX_AGE
            ):
                return
            try:
                self._fetch_lists()
                stamp.touch()
            except Unavailable as reason:
                if not stamp.exists():
                    raise
                print(f"lab: going on with old package lists: {reason}", file=sys.stderr)
            _updated.add(self.root.name)

    def _fetch_lists(self) -> None:
        suites = self._suites()
        self._configure(suites)
        try:
            self._apt("apt-get", "update", "--error-on=any")
        except Unavailable:
            # not every release has updates or security: leave out what isn't there
            needed = 2 if self.release != self.base else 1
            there = [s for n, s in enumerate(suites) if n < needed or self._listed(s[0])]
            self._configure(there)
            self._apt("apt-get", "update", "--error-on=any")

    def _listed(self, suite: str) -> bool:
        names = self.root / "state" / "lists"
        return any(names.glob(f"*_dists_{suite}_*Release"))

    def versions(self, package: str) -> List[str]:
        """Every version of the package that the archive lists, newest first."""
        self.update()
        text = self._apt("apt-cache", "madison", package).stdout
        return list(dict.fromkeys(line.split("|")[1].strip() for line in text.splitlines()))

    def depends(self, package: str, version: str) -> List[str]:
        """What that version of the package depends on directly: names only."""
        self.update()
        text = self._apt("apt-cache", "show", f"{package}={version}").stdout
        found = re.search(r"(?m)^Depends: (.*)$", text)
        return re.findall(r"(?:^|[,|]) *([^\s,|(]+)", found.group(1)) if found else []

    def download(self, package: str, folder: Path) -> Path:
        """Puts the package's file into the folder. package: a name, or NAME=VERSION."""
        self.update()
        work = folder / "download"
        work.mkdir()
        command = ["apt-get", "download", package]
        done = subprocess.run(command, env=self._env, cwd=work, capture_output=True, text=True)
        files = list(work.glob("*.deb"))
        if done.returncode or not files:
            raise Unavailable(f"{self.release}: {' '.join(command)}:\n{done.stderr.strip()}")
        path = files[0].rename(folder / files[0].name)
        work.rmdir()
        return path

    def closure(self, packages: List[str], folder: Path) -> List[Path]:
        """Puts the packages (as for download) and all that they depend on into the folder."""
        self.update()
        archives = folder / "archives"
        (archives / "partial").mkdir(parents=True)
        self._apt(
            "apt-get", "install", "--yes", "--download-only",
            "-o", f"Dir::Cache::archives={archives}", *packages,
        )  # fmt: skip
        return sorted(archives.glob("*.deb"))


def unpack(package: Path, folder: Path, *members: str) -> None:
    """Unpacks a package's files, or only those named (./usr/lib/x), keeping folder links."""
    keep = ["--keep-directory-symlink", "--no-same-owner", "-C", str(folder), *members]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    ) as source:
        subprocess.run(["tar", "-x", *keep], stdin=source.stdout, check=True)
    if source.returncode:
        raise Unavailable(f"{package.name} cannot be unpacked")


def discard(folder: Path) -> None:
    """Removes a folder of downloads that has been unpacked."""
    shutil.rmtree(folder)
