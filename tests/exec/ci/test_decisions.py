# SPDX-License-Identifier: Apache-2.0
"""When a job is skipped, and when it runs: what it read, listed, looked for in vain, and what lies around."""

from __future__ import annotations

import pytest

from tests.support.repositories import Repository

pytestmark = [pytest.mark.git, pytest.mark.native]

JOB = ("sh", "-c", "cat src/a; ls listed; test -e absent || echo none")


@pytest.fixture
def tested(repository: Repository) -> Repository:
    """A project with a recorded run."""
    repository.recorded(*JOB)
    return repository


def test_nothing_changed(tested: Repository) -> None:
    assert tested.check().status == 0
    again = tested.run(*JOB)
    assert (again.status, again.json["skip"], again.stdout.count("\n")) == (0, True, 1)  # the object alone


def test_a_byte_in_a_file_that_it_read(tested: Repository) -> None:
    tested.commit(src__a="A\n")
    found = tested.check()
    assert (found.status, found.codes, found.paths) == (1, ["changed"], ["src/a"])


def test_what_it_did_not_look_at(tested: Repository) -> None:
    tested.commit(src__b="B\n", docs__x=None, docs__new="new\n", README="R\n")
    assert tested.check().status == 0


def test_a_new_name_in_a_folder_that_it_listed(tested: Repository) -> None:
    tested.commit(listed__two="2\n")
    found = tested.check()
    assert (found.status, found.paths) == (1, ["listed"])
    assert "+two" in found.json["records"][0]["reasons"][0]["message"]


def test_a_name_that_goes(tested: Repository) -> None:
    tested.commit(listed__other="", listed__one=None)
    assert tested.check().status == 1


def test_content_in_a_folder_that_it_listed(tested: Repository) -> None:
    tested.commit(listed__one="another\n")
    assert tested.check().status == 0


def test_a_name_that_was_looked_for_in_vain(tested: Repository) -> None:
    tested.commit(absent="")
    assert tested.check().paths == ["absent"]


def test_mode_link_rename_and_case(tested: Repository) -> None:
    (tested.path / "src/a").chmod(0o755)
    tested.commit()
    assert tested.check().paths == ["src/a"]
    (tested.path / "src/a").chmod(0o644)
    tested.commit()
    assert tested.check().status == 0
    tested.git("mv", "src/a", "src/A")
    tested.commit()
    assert tested.check().paths == ["src/a"]
    (tested.path / "src/a").symlink_to("A")
    tested.commit()
    assert tested.check().paths == ["src/a"]


def test_a_links_target(repository: Repository) -> None:
    (repository.path / "way").symlink_to("src")
    repository.commit()
    repository.recorded("cat", "way/a")
    repository.commit(src__b="other\n")
    assert repository.check().status == 0
    (repository.path / "way").unlink()
    (repository.path / "way").symlink_to("docs")
    repository.commit(docs__a="a\n")
    assert "way" in repository.check().paths


def test_attributes(tested: Repository) -> None:
    tested.commit(src___DOT_gitattributes="a text eol=crlf\n")
    assert tested.check().paths == ["src/.gitattributes"]


def test_merges_of_a_tested_tree(tested: Repository) -> None:
    """A merge commit, a squash and a rebase give the tree that was tested: the default branch skips."""
    tested.git("checkout", "-q", "-b", "topic")
    tested.commit(src__a="topic\n")
    tested.commit(src__new="more\n")
    tested.recorded(*JOB)
    tested.git("branch", "squashed", "main")
    tested.git("branch", "merged", "main")
    for branch, how in (
        ("merged", ("merge", "-q", "--no-ff", "topic")),
        ("squashed", ("merge", "-q", "--squash", "topic")),
    ):
        tested.git("checkout", "-q", branch)
        tested.git(*how)
        tested.commit("onto the default branch")
        assert tested.git("rev-parse", "HEAD^{tree}") == tested.git("rev-parse", "topic^{tree}")
        assert tested.check().status == 0
    tested.git("checkout", "-q", "main")
    tested.commit(src__a="topic\n")
    tested.git("checkout", "-q", "topic")
    tested.git("rebase", "-q", "main")
    assert tested.git("rev-parse", "HEAD^{tree}") == tested.git("rev-parse", "merged^{tree}")
    assert tested.check().json["by"]["branch"] == "topic"


def test_the_same_branch_first(tested: Repository) -> None:
    tested.git("checkout", "-q", "-b", "topic")
    tested.recorded(*JOB, options=("--force",))
    assert tested.check().json["by"]["branch"] == "topic"
    assert tested.check("HEAD", "--branch", "other").json["by"]["branch"] == "main"
    assert tested.check("HEAD", "--branch", "other", "--default-branch", "topic").json["by"]["branch"] == "topic"


def test_the_nearest_record_first(tested: Repository) -> None:
    tested.commit(src__a="2\n", listed__two="2\n")
    tested.recorded(*JOB)
    tested.commit(src__a="3\n")
    records = tested.check().json["records"]
    assert [len(record["reasons"]) for record in records] == [1, 2]


def test_clones_without_blobs(tested: Repository) -> None:
    """A bare clone without blobs, and a shallow one: nothing is fetched, and what changed is named all the same."""
    bare = tested.clone("bare", "--bare", "--filter=blob:none")
    packs = sorted((bare / "objects/pack").iterdir())
    assert tested.check(repo=bare).status == 0
    tested.commit(src__a="A\n")
    shallow = tested.clone("shallow", "--bare", "--depth=1", "--filter=blob:none")
    # A promisor that is gone: whoever asked for a blob would fail.
    tested.git("-C", str(bare), "remote", "set-url", "origin", "file:///nowhere")
    assert tested.check(repo=bare).status == 0
    assert sorted((bare / "objects/pack").iterdir()) == packs
    found = tested.check(repo=shallow)
    assert found.status == 1
    assert "src/a" in found.json["records"][0]["reasons"][0]["message"]  # among few: the recorded tree is not there


def test_another_command_and_another_folder(tested: Repository) -> None:
    assert "command" in tested.run("cat", "src/a").codes
    other = tested.pytrace("ci", "run", "--workflow", "w", "--json", "--", *JOB, cwd=tested.path / "src")
    assert "command" in other.codes


def test_fingerprint_and_variables(repository: Repository) -> None:
    options = ("--fingerprint", "one", "--env", "FOO")
    repository.recorded(*JOB, options=options, FOO="1")
    assert repository.check("HEAD", *options, FOO="1").status == 0
    assert repository.check("HEAD", *options).codes == ["variable"]
    assert repository.check("HEAD", "--fingerprint", "two", "--env", "FOO", FOO="1").codes == ["fingerprint"]
    assert repository.check("HEAD", FOO="1").codes == ["fingerprint"] * 3  # the machine's own


def test_definition(repository: Repository) -> None:
    repository.commit(ci__job="steps\n")
    repository.recorded(*JOB, options=("--definition", "ci/job"))
    assert repository.check("HEAD", "--definition", "ci/job").status == 0
    assert repository.check("HEAD", "--definition", "README").codes == ["definition"]
    repository.commit(ci__job="other steps\n")
    assert repository.check().paths == ["ci/job"]


def test_scopes(repository: Repository) -> None:
    repository.recorded(*JOB, options=("--write-scope", "pull/7"))
    assert repository.check().codes == ["no_record"]
    assert repository.check("HEAD", "--read-scope", "main", "--read-scope", "pull/7").status == 0
    assert repository.check("HEAD", "--read-scope", "pull/7", "--project", "other").codes == ["no_record"]


def test_definitions_however_they_are_written(repository: Repository) -> None:
    """A folder counts with all that is in it, and a path may be written with dots."""
    repository.commit(ci__job="steps\n")
    repository.recorded(*JOB, options=("--definition", "ci/", "--definition", "./README"))
    repository.commit(README="other\n")
    assert repository.check().paths == ["README"]
    repository.commit(README="r\n", ci__job="other steps\n")
    assert repository.check().paths == ["ci/job"]
    assert repository.check("HEAD", "--definition", "../elsewhere").status == 2


def test_the_scope_that_is_read_by_default(repository: Repository) -> None:
    repository.recorded(*JOB)
    assert repository.check("HEAD", PYTRACE_CI_WRITE_SCOPE="main").codes == ["no_record"]
