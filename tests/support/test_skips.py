# SPDX-License-Identifier: Apache-2.0
"""The rule on skips, in sessions of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import capabilities, skips

ALL_LISTED = Path(__file__).parents[1] / "ALLOWED_SKIPS"
SESSION = """
    import pytest

    @pytest.mark.parametrize("n", [1, 2])
    def test_absent(n):
        pytest.skip("absent")

    @pytest.mark.xfail
    def test_expected():
        assert False

    def test_good():
        pass
"""


def session(pytester: pytest.Pytester, *allowed: str) -> int | pytest.ExitCode | None:
    """Run the tests of pytester's folder with these skips allowed; return the exit status."""
    return pytester.inline_run("-p", "no:asyncio", plugins=[skips.AllowedSkips(allowed)]).ret


@pytest.mark.parametrize(
    ("allowed", "code"),
    [
        ([], pytest.ExitCode.TESTS_FAILED),
        (["test_one.py::test_absent[1]"], pytest.ExitCode.TESTS_FAILED),
        (["test_one.py::test_abs"], pytest.ExitCode.TESTS_FAILED),
        (["test_one.py::test_absent[1]", "test_one.py::test_absent[2]"], pytest.ExitCode.OK),
        (["test_one.py::test_absent"], pytest.ExitCode.OK),
        (["test_one.py"], pytest.ExitCode.OK),
    ],
)
def test_a_skip_that_is_not_listed_fails_the_session(
    pytester: pytest.Pytester, allowed: list[str], code: pytest.ExitCode
) -> None:
    pytester.makepyfile(test_one=SESSION)
    assert session(pytester, *allowed) == code


@pytest.mark.parametrize("waived", ["absent", "other"])
def test_a_reason_may_be_waived(pytester: pytest.Pytester, waived: str) -> None:
    module = "import pytest; pytest.skip('absent', allow_module_level=True)"
    pytester.makepyfile(test_one=SESSION, test_two=module)
    plugins = [skips.AllowedSkips((), [waived])]
    status = pytester.inline_run("-p", "no:asyncio", plugins=plugins).ret
    assert status == (pytest.ExitCode.OK if waived == "absent" else pytest.ExitCode.TESTS_FAILED)


def test_a_module_that_skips_itself_counts(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_one="import pytest; pytest.skip('absent', allow_module_level=True)", test_two="def test(): ..."
    )
    assert session(pytester) == pytest.ExitCode.TESTS_FAILED
    assert session(pytester, "test_one.py") == pytest.ExitCode.OK


def test_the_list_gives_a_reason_for_each() -> None:
    skips.allowances(ALL_LISTED)


def test_an_allowance_without_a_reason_is_refused(tmp_path: Path) -> None:
    listed = tmp_path / "list"
    listed.write_text("# comment\n\na::b why\na::c\n")
    with pytest.raises(skips.MalformedAllowance) as caught:
        skips.allowances(listed)
    assert caught.value.line == 4


def test_a_missing_program_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    capabilities.lacking.cache_clear()
    monkeypatch.setenv("PATH", "")
    assert all(capabilities.lacking(name) for name in capabilities.PROGRAMS)
    capabilities.lacking.cache_clear()
    assert capabilities.lacking("parametrize") is None
