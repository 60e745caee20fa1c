# SPDX-License-Identifier: Apache-2.0
"""Git's files as git itself writes them: what they mean, whatever way they are kept."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pytrace_cas.digest import SHA256
from pytrace_exec.observe import git_index, git_refs
from pytrace_exec.observe.git_conversions import ALL, NONE, Conversions
from pytrace_exec.observe.git_objects import Objects, PackIndex, UnknownObjects
from pytrace_exec.observe.view import LiveView

FORMATS = ("sha1", "sha256")


class Repository:
    """A repository with two commits, a tag, and files of several kinds."""

    def __init__(self, path: Path, ids: str = "sha1") -> None:
        self.path = path
        self.git("init", "-q", "-b", "main", f"--object-format={ids}", ".")
        (path / "d").mkdir()
        (path / "d" / "file").write_text("file\n")
        (path / "run").write_text("run\n")
        (path / "run").chmod(0o755)
        (path / "link").symlink_to("run")
        for name in ("first", "second"):
            (path / name).write_text(name)
            self.git("add", ".")
            self.git("commit", "-qm", name)
        self.git("tag", "-a", "-m", "t", "v1")

    @property
    def folder(self) -> bytes:
        return os.fsencode(self.path / ".git")

    def git(self, *words: str) -> str:
        settings = ("-c", "user.name=n", "-c", "user.email=e@e", "-c", "gc.auto=0")
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.path), "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(["git", *settings, *words], cwd=self.path, env=environment, check=True,
                              capture_output=True)  # fmt: skip
        return done.stdout.decode().strip()

    def index(self) -> bytes:
        return (self.path / ".git" / "index").read_bytes()

    def refs(self, *names: bytes) -> bytes | None:
        return git_refs.meaning(LiveView(SHA256), self.folder, names)

    def short(self, least: int = 4) -> bytes | None:
        return git_refs.abbreviation(LiveView(SHA256), self.folder, least)

    def states(self) -> dict[bytes, bytes]:
        entries = git_index.entries_of(self.index()) or []
        return {entry.name: entry.state(os.lstat(os.path.join(os.fsencode(self.path), entry.name)))
                for entry in entries}  # fmt: skip


@pytest.mark.parametrize("ids", FORMATS)
@pytest.mark.parametrize("version", [2, 3, 4])
def test_an_index_says_what_git_lists(tmp_path: Path, ids: str, version: int) -> None:
    one = Repository(tmp_path, ids)
    (tmp_path / "later").touch()
    one.git("add", "-N", "later")
    one.git("update-index", "--index-version", str(version))
    entries = git_index.entries_of(one.index())
    assert entries is not None
    listed = [f"{entry.mode:06o} {entry.id.hex()} {entry.marks >> 12 & 3}\t{entry.name.decode()}" for entry in entries]
    assert listed == one.git("ls-files", "-s").splitlines()
    assert [entry.name for entry in entries if entry.more] == [b"later"]


def test_only_what_an_index_says_of_files_is_its_meaning(tmp_path: Path) -> None:
    one = Repository(tmp_path)
    said = git_index.meaning(one.index())
    for line in ("update-index --index-version 4", "status", "update-index --force-write-index"):
        os.utime(tmp_path / "first", (1_200_000_000, 1_200_000_000))
        one.git(*line.split())
        assert git_index.meaning(one.index()) == said, line
    for line in ("update-index --assume-unchanged first", "update-index --skip-worktree second", "rm -q --cached run",
                 "update-index --chmod=+x d/file"):  # fmt: skip
        one.git(*line.split())
        now = git_index.meaning(one.index())
        assert now not in (None, said), line
        said = now


@pytest.mark.parametrize("line", ["update-index --split-index", "update-index --force-untracked-cache",
                                  "sparse-checkout set --sparse-index --cone none"])  # fmt: skip
def test_an_index_of_another_kind_has_no_meaning(tmp_path: Path, line: str) -> None:
    one = Repository(tmp_path)
    one.git(*line.split())
    one.git("status")
    assert git_index.meaning(one.index()) is None


def test_a_damaged_index_and_one_with_submodules_have_no_meaning(tmp_path: Path) -> None:
    one = Repository(tmp_path)
    data = one.index()
    assert git_index.meaning(data[:-1]) is git_index.meaning(b"") is git_index.meaning(data + b"x") is None
    assert git_index.meaning(data[:20] + b"?" + data[21:]) is None
    one.git("update-index", "--add", "--cacheinfo", f"160000,{one.git('rev-parse', 'HEAD')},sub")
    assert git_index.meaning(one.index()) is None


def test_how_files_stand(tmp_path: Path) -> None:
    one = Repository(tmp_path)
    assert set(one.states().values()) == {b"="}
    os.utime(tmp_path / "first", (1_200_000_000, 1_200_000_000))
    assert {name for name, state in one.states().items() if state == b"!"} == {b"first"}
    one.git("update-index", "--refresh")
    assert set(one.states().values()) == {b"="}
    found = os.lstat(tmp_path / "first")
    entry = next(entry for entry in git_index.entries_of(one.index()) or () if entry.name == b"first")
    entry.status = (*entry.status[:3], entry.status[3] + 1, *entry.status[4:])
    with pytest.raises(ValueError, match="every git"):
        entry.state(found)
    assert entry.state("ENOENT") == b"!"


def test_an_index_as_old_as_a_file(tmp_path: Path) -> None:
    one = Repository(tmp_path)
    entry = next(entry for entry in git_index.entries_of(one.index()) or () if entry.name == b"first")
    second, fraction = divmod(entry.mtime_ns, 1_000_000_000)
    found = {}
    for written in ((second - 1, fraction), (second, fraction), (second, 999_999_999), (second + 1, 0)):
        os.utime(tmp_path / ".git" / "index", ns=(0, written[0] * 1_000_000_000 + written[1]))
        found[written] = entry.is_as_new(os.lstat(tmp_path / ".git" / "index"))
    assert list(found.values()) == [b">", b">", b"=", b"<"]


@pytest.mark.parametrize("ids", FORMATS)
@pytest.mark.parametrize(("line", "concerned"), [
    ("", set()), ("# text", set()), ("* text", {"crlf", "d/id"}), ("one ident", {"crlf", "d/id"}),
    ("crlf filter=up", {"crlf", "d/id"}), ("plai* filter=up", {"crlf", "d/id", "plain", "d/plain"}),
    ("/plain working-tree-encoding=UTF-16", {"crlf", "d/id", "plain", "d/plain"}),
])  # fmt: skip
@pytest.mark.parametrize("place", [".gitattributes", ".git/info/attributes"])
def test_whatever_git_converts_is_concerned(
    tmp_path: Path, ids: str, line: str, concerned: set[str], place: str
) -> None:
    one = Repository(tmp_path, ids)
    texts = {"crlf": "a\r\n", "d/id": "$Id: x $\n", "plain": "plain\n", "d/plain": "plain\n"}
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.encode())
    one.git("add", ".")
    one.git("config", "filter.up.clean", "tr a-z A-Z")
    (tmp_path / place).write_text(f"{line}\n")
    folder, top = one.folder, os.fsencode(tmp_path)
    entries = git_index.entries_of(one.index()) or []
    names = frozenset(entry.name for entry in entries)
    conversions = Conversions(LiveView(SHA256), folder, top, NONE, names)
    found = {entry.name.decode() for entry in entries if conversions.concern(entry)}
    assert found & {*texts} == concerned & {*texts}
    files = [entry.name.decode() for entry in entries if entry.name != b"link"]
    converted = {name for name in files if one.git("hash-object", name) != one.git("hash-object", "--no-filters", name)}
    assert converted <= found
    assert all(map(Conversions(LiveView(SHA256), folder, top, ALL, names).concern, entries))


@pytest.mark.parametrize("ids", FORMATS)
def test_refs_say_the_same_however_they_are_kept(tmp_path: Path, ids: str) -> None:
    one = Repository(tmp_path, ids)
    one.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    names = (b"HEAD", b"refs/heads/main", b"refs/heads/none", b"refs/tags/", b"refs/heads/")
    said = one.refs(*names)
    assert said is not None
    assert one.git("rev-parse", "v1").encode() in said
    for line in (
        "pack-refs --all",
        "gc",
        "repack -a -d",
        "update-ref refs/heads/main HEAD",
        "update-ref refs/x/y HEAD",
    ):
        one.git(*line.split())
        assert one.refs(*names) == said, line
    for line in ("tag v2", "update-ref refs/heads/none HEAD", "tag -d v1", "checkout -q --detach", "branch -D main"):
        one.git(*line.split())
        now = one.refs(*names)
        assert now not in (None, said), line
        said = now


def test_a_ref_whose_object_is_gone_says_so(tmp_path: Path) -> None:
    one = Repository(tmp_path)
    said = one.refs(b"HEAD")
    head = one.git("rev-parse", "HEAD")
    (tmp_path / ".git" / "objects" / head[:2] / head[2:]).unlink()
    assert one.refs(b"HEAD") not in (None, said)


def test_refs_that_are_kept_in_another_way_cannot_be_told(tmp_path: Path) -> None:
    one = Repository(tmp_path)
    heads = tmp_path / ".git" / "refs" / "heads"
    (heads / "linked").symlink_to("main")
    assert one.refs(b"refs/heads/") is one.refs(b"refs/heads/linked") is None
    assert one.refs(b"refs/heads/main") is not None
    (tmp_path / ".git" / "packed-refs").write_text("something\n")
    assert one.refs(b"refs/heads/main") is None


@pytest.mark.parametrize("ids", FORMATS)
@pytest.mark.parametrize("packed", [False, True])
def test_an_id_is_as_unique_as_git_says(tmp_path: Path, ids: str, packed: bool) -> None:
    one = Repository(tmp_path, ids)
    for number in range(600):
        (tmp_path / f"f{number}").write_text(f"{number}")
    one.git("add", ".")
    lengths = set()
    for number in range(12):
        one.git("commit", "-q", "--allow-empty", "-m", f"{number}")
        if packed:
            one.git("repack", "-a", "-d", "-q", "-k")
        said = one.short()
        assert said is not None
        assert int(said.split()[0]) == len(one.git("rev-parse", "--short=4", "HEAD"))
        lengths.add(said)
    assert {line.split(b" ", 1)[1] for line in lengths} == {b"14 14"}


def test_old_indexes_of_packs_are_read(tmp_path: Path) -> None:
    one = Repository(tmp_path)
    one.git("-c", "pack.indexVersion=1", "repack", "-a", "-d", "-q")
    said = one.refs(b"HEAD", b"refs/tags/")
    assert said is not None
    assert b"not there" not in said
    objects = Objects(LiveView(SHA256), one.folder + b"/objects", 20)
    assert not objects.has(bytes(20))


@pytest.mark.parametrize("data", [b"", b"\xfftOc\0\0\0\3", b"\xfftOc\0\0\0\2", bytes(1023), b"\1" * 2000])
def test_damaged_indexes_of_packs_cannot_be_told(data: bytes) -> None:
    with pytest.raises(UnknownObjects):
        PackIndex(data, 20)
