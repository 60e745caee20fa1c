# SPDX-License-Identifier: Apache-2.0
"""Changes that a job must not miss, one a case: in a work tree's repository, a bare clone and one of depth 1."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import attrs
import pytest

from tests.support.repositories import Repository

pytestmark = [pytest.mark.git, pytest.mark.native, pytest.mark.soak]


@attrs.frozen
class Case:
    """What a job does (in a shell), what lies there before it is recorded, and what is changed afterwards."""

    name: str
    job: str
    change: dict[str, str | None]
    before: dict[str, str | None] = attrs.field(factory=dict)
    links: dict[str, str] = attrs.field(factory=dict)
    new_links: dict[str, str] = attrs.field(factory=dict)
    more: Callable[[Repository], object] | None = None
    skips: bool = False


def _executable(name: str) -> Callable[[Repository], object]:
    return lambda repository: (repository.path / name).chmod(0o755)


CASES = (
    Case("content", "cat src/a", {"src__a": "A\n"}),
    Case("another-file", "cat src/a", {"src__b": "B\n"}, skips=True),
    Case("link-to-a-folder", "cat link/f", {}, {"d1__f": "1\n", "d2__f": "1\n"}, {"link": "d1"}, {"link": "d2"}),
    Case("behind-a-link", "cat link/f", {"d1__f": "2\n"}, {"d1__f": "1\n"}, {"link": "d1"}),
    Case("listed-behind-a-link", "ls link/", {"d1__g": "2\n"}, {"d1__f": "1\n"}, {"link": "d1"}),
    Case("dangling-link", "cat link || echo none", {"nowhere__x": "2\n"}, {}, {"link": "nowhere/x"}),
    Case("target-of-a-link", "readlink src/l", {}, {}, {"src/l": "a"}, {"src/l": "b"}),
    Case("folder-looked-for", "test -d new && echo yes; true", {"new__x": "2\n"}),
    Case("below-what-is-absent", "cat conf/local/x || true", {"conf__local__x": "2\n"}),
    Case("beside-what-is-absent", "cat src/a conf/local/x || true", {"conf__other": "2\n"}, skips=True),
    Case("file-to-folder", "cat src/a; test -d src/b && echo dir; true", {"src__b": None, "src__c": "1\n"},
         more=lambda repository: repository.write(src__b__c="1\n")),
    Case("case-of-a-name", "cat src/a", {}, more=lambda repository: repository.git("mv", "src/a", "src/A")),
    Case("case-of-a-listed-name", "ls src", {}, more=lambda repository: repository.git("mv", "src/a", "src/A")),
    Case("executable", "test -x src/a; cat src/a", {}, more=_executable("src/a")),
    Case("shown-type", "ls -F src", {}, more=_executable("src/a")),
    Case("glob", "cat src/*", {"src__c": "1\n"}),
    Case("hidden-name", "ls -a src", {"src___DOT_h": "1\n"}),
    Case("all-below", "grep -r a src", {"src__deep__z": "a\n"}),
    Case("type-in-a-listing", "find src -type l", {"src__b": None}, new_links={"src/b": "a"}),
    Case("size", "stat -c %s src/a", {"src__a": "longer\n"}),
    Case("attributes-above", "cat src/in/f", {"_DOT_gitattributes": "*.md text\n"}, {"src__in__f": "x\n"}),
    Case("shadowed-module", "PYTHONPATH=lib python3 p/main.py", {"p__helper_DOT_py": "print(2)\n"},
         {"p__main_DOT_py": "import helper\n", "lib__helper_DOT_py": "print(1)\n"}),
    Case("shadowed-header", "gcc -Iother -Iinc -c m.c -o /dev/null", {"other__h_DOT_h": "#define X 1\n"},
         {"m_DOT_c": '#include "h.h"\nint main(void) { return X; }\n', "inc__h_DOT_h": "#define X 0\n"}),
    Case("optional-makefile", "make -s", {"local_DOT_mk": "X=1\n"},
         {"Makefile": "all:\n\t@cat src/a\n-include local.mk\n"}),
    Case("another-makefile", "make -s", {"GNUmakefile": "all:\n\t@echo no\n"}, {"Makefile": "all:\n\t@cat src/a\n"}),
    Case("last-of-a-folder", "ls listed || true", {"listed__one": None}),
    Case("copied", "cp src/a out; cat out; rm out", {"src__a": "z\n"}),
    Case("gone-folder", "ls -d docs || true", {}, more=lambda repository: shutil.rmtree(repository.path / "docs")),
)  # fmt: skip


@pytest.mark.compiler
@pytest.mark.make
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_change(repository: Repository, case: Case) -> None:
    for name, target in case.links.items():
        os.symlink(target, repository.path / name)
    repository.commit("before", **case.before)
    repository.recorded("sh", "-c", case.job, PYTHONDONTWRITEBYTECODE="1")
    assert repository.check().status == 0
    repository.write(**case.change)
    for name, target in case.new_links.items():
        (repository.path / name).unlink(missing_ok=True)
        os.symlink(target, repository.path / name)
    if case.more is not None:
        case.more(repository)
    repository.commit("after")
    clones = [repository.clone("bare", "--bare", "--filter=blob:none")]
    clones.append(repository.clone("shallow", "--bare", "--depth=1", "--filter=blob:none"))
    for place in (None, *clones):
        assert (repository.check(repo=place).status == 0) == case.skips
