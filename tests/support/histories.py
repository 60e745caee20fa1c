# SPDX-License-Identifier: Apache-2.0
"""Histories of real projects: their successive releases, fetched by pip, committed one after the other.

The edits between two releases are cut into several commits; those of every third release are divided between two
branches that are merged. Sources are kept in `build/sources`, as those of other tests are.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import attrs

from tests.support.fetching import NotFetched, download
from tests.support.repositories import Repository
from tests.support.sources import KEPT

CUTS = 4
"""Commits that the edits between two releases are cut into."""


@attrs.frozen
class Job:
    """A CI job: a shell command that says on stdout all that it makes, and a path filter as somebody would write it."""

    name: str
    command: str
    filter: tuple[str, ...]


@attrs.frozen
class Project:
    """A project on PyPI with its releases, oldest first, and three jobs."""

    name: str
    releases: tuple[str, ...]
    jobs: tuple[Job, ...]


def _jobs(tests: str, package: str, c: str, flags: str = "", also: str = "") -> tuple[Job, ...]:
    include, filters = f"-I{sysconfig.get_path('include')}", (c, also) if also else (c,)
    return (
        Job("unit", f"{tests} 2>/dev/null", (f"{package}/*.py",)),
        Job("lint", f"ruff check --no-cache --isolated --exit-zero --select E9,F {package}", (f"{package}/*.py",)),
        Job("build", f"gcc -w -O1 -c {c} {flags} {include} -o out.o && sha256sum out.o && rm out.o", filters),
    )


_SIMPLEJSON = """
3.16.0 3.17.0 3.17.2 3.17.3 3.17.4 3.17.5 3.17.6 3.18.0 3.18.1 3.18.3 3.18.4 3.19.1 3.19.2 3.19.3 3.20.1 3.20.2
"""
_MARKUPSAFE = "1.1.0 1.1.1 2.0.0 2.0.1 2.1.0 2.1.1 2.1.2 2.1.3 2.1.4 2.1.5 3.0.0 3.0.1 3.0.2 3.0.3 3.0.4"
_XXHASH = "3.4.1 3.4.2 3.5.0 3.5.1 3.6.0 3.6.1 3.7.0 3.7.1 3.7.2 3.7.3 3.8.0 3.8.1 3.8.2 4.0.0 4.0.1 4.0.2 4.1.0"
_OF_SIMPLEJSON = "python3 -m unittest simplejson.tests.test_decode simplejson.tests.test_float"
_OF_MARKUPSAFE = 'PYTHONPATH=src:. python3 -c \'import markupsafe as m; print(m.escape(m.Markup("<a>") + "<b>"))\''
_OF_XXHASH = "python3 -c 'import ast; print(ast.dump(ast.parse(open(\"xxhash/__init__.py\").read())))'"

PROJECTS = (
    Project(
        "simplejson", tuple(_SIMPLEJSON.split()), _jobs(_OF_SIMPLEJSON, "simplejson", "simplejson/_speedups.c")
    ),
    Project(
        "MarkupSafe",
        tuple(_MARKUPSAFE.split()),
        _jobs(_OF_MARKUPSAFE, "src/markupsafe", "src/markupsafe/_speedups.c"),
    ),
    Project(
        "xxhash", tuple(_XXHASH.split()), _jobs(_OF_XXHASH, "xxhash", "src/_xxhash.c", "-Ideps/xxhash", "deps/xxhash/*")
    ),
)  # fmt: skip


def release(project: str, version: str) -> Path:
    """The unpacked sources of a release; raise `NotFetched`."""
    kept = KEPT / f"{project}-{version}"
    if not kept.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as name:
            unpacked = Path(name) / "unpacked"
            unpacked.mkdir()
            with tarfile.open(_download(project, version, Path(name))) as archive:
                for member in archive:
                    _unpack(archive, member, unpacked)
            try:
                os.rename(unpacked, kept)
            except OSError:
                if not kept.exists():
                    raise
    return kept


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, into: Path) -> None:
    parts = PurePosixPath(member.name).parts[1:]
    content = archive.extractfile(member) if member.isreg() else None
    if content is None or not parts or ".." in parts:
        return
    place = into.joinpath(*parts)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content.read())
    place.chmod(0o755 if member.mode & 0o100 else 0o644)


def _download(project: str, version: str, folder: Path) -> Path:
    isolated = () if importlib.util.find_spec("setuptools") is None else ("--no-build-isolation",)
    download(f"{project}=={version}", folder, *isolated, "--no-binary", project)
    found = list(folder.glob("*.tar.gz"))
    if not found:
        raise NotFetched(f"pip gave no source distribution of {project} {version}")
    return found[0]


def build(repository: Repository, project: Project, releases: Sequence[str]) -> list[str]:
    """Commit releases with the edits between them cut up, branches and merges; return all commits, in order."""
    for number, version in enumerate(releases):
        sources = release(project.name, version)
        groups = _groups(repository.path, sources)
        if number == 0:
            groups = [[path for group in groups for path in group]]
        if number % 3 == 2 and len(groups) > 1:
            repository.git("checkout", "-q", "-b", f"topic-{number}")
            _commit_all(repository, sources, groups[::2], version)
            repository.git("checkout", "-q", "main")
            _commit_all(repository, sources, groups[1::2], version)
            repository.git("merge", "-q", "--no-ff", "-m", f"merge {version}", f"topic-{number}")
        else:
            _commit_all(repository, sources, groups, version)
    return repository.git("rev-list", "--reverse", "--topo-order", "main").split()


def _groups(work: Path, sources: Path) -> list[list[str]]:
    """Paths that differ between a work tree and a release, in groups."""
    changed = sorted(
        path for path in {*_files(work), *_files(sources)} if _content(work / path) != _content(sources / path)
    )
    size = max(1, -(-len(changed) // CUTS))
    return [changed[begin : begin + size] for begin in range(0, len(changed), size)]


def _files(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder):
        if ".git" in folders:
            folders.remove(".git")
        yield from (os.path.relpath(os.path.join(place, name), folder) for name in names)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _commit_all(repository: Repository, sources: Path, groups: Sequence[Sequence[str]], version: str) -> None:
    for group in groups:
        for path in group:
            place = repository.path / path
            if (sources / path).exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(sources / path, place)
            else:
                place.unlink()
        repository.git("add", "-A", "-f")
        repository.git("commit", "-q", "--allow-empty", "-m", f"{version}: {len(group)} files")
