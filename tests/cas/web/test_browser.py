# SPDX-License-Identifier: Apache-2.0
"""Pages in Chromium: readable by everybody, on a phone and in the dark, with the keyboard, and without script."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.web.diff_page import address_of
from tests.support.browser import Look, opened, overflows, running_browser, violations
from tests.support.pages import ask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

    from tests.cas.web.conftest import Shown

pytestmark = pytest.mark.browser

LOOKS = [Look(), Look("phone", "dark")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


def blobs(shown: Shown) -> list[str]:
    """A page of each other kind of blob."""
    path = f"/api/v1/actions/sha256/{shown.old.short()}"
    told = json.loads(ask(shown.server.http_url, path).body)
    names = {
        "directory": told["input_root_digest"],
        "command": told["command_digest"],
        "file": told["result"]["stdout"],
    }
    return [shown.old.of(digest).page(kind) for kind, digest in names.items()]


def addresses(shown: Shown) -> list[str]:
    return [
        "/ui/",
        "/ui/actions/",
        "/ui/invalidations/",
        "/ui/invalidate/?command=gcc",
        shown.old.page("drop"),
        shown.old.page("action"),
        shown.hostile.page("action"),
        address_of(shown.old, shown.new),
        *blobs(shown),
        "/ui/nothing/blobs/sha256/file/zzz/",
    ]


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: f"{look.width}-{look.scheme}")
def test_every_page_can_be_read_by_everybody(browser: Browser, shown: Shown, look: Look) -> None:
    for path in addresses(shown)[:-1]:
        with opened(browser, shown.server.http_url, look) as page:
            page.goto(path)
            assert violations(page) == [], path
            assert not overflows(page), path


def test_hostile_bytes_do_nothing(browser: Browser, shown: Shown) -> None:
    with opened(browser, shown.server.http_url) as page:
        page.goto(shown.hostile.page("action"))
        assert "owned" not in page.title().replace("document.title='\"'\"'owned", "")
        assert page.locator("main script").count() == 0
        assert "link" in page.locator("section[aria-labelledby=stdout] pre").inner_text()
        assert page.locator("section[aria-labelledby=stdout] pre a").count() == 0
        with page.expect_download() as begun:
            page.locator("section[aria-labelledby=outputs] a[download]").first.click()
        assert begun.value.suggested_filename


def test_the_keyboard_is_enough(browser: Browser, shown: Shown) -> None:
    with opened(browser, shown.server.http_url) as page:
        page.goto(shown.old.page("action"))
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.locator("input[name=b]").focus()
        page.keyboard.type(shown.new.short())
        page.keyboard.press("Enter")
        page.wait_for_url("**/ui/diff/**")
        assert "src/lib/new.h" in page.locator("main").inner_text()


def test_the_switch_between_light_and_dark_is_remembered(browser: Browser, shown: Shown) -> None:
    with opened(browser, shown.server.http_url) as page:
        page.goto("/ui/")
        light = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.locator("#theme button").click()
        page.locator("#theme button").click()
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.goto(shown.old.page("action"))
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark != light


def test_without_script_everything_is_there(browser: Browser, shown: Shown) -> None:
    with opened(browser, shown.server.http_url, Look(script=False)) as page:
        page.goto(shown.old.page("action"))
        page.locator("input[name=b]").fill(shown.new.short())
        page.get_by_role("button", name="Explain").click()
        assert "src/lib/old.h" in page.locator("main").inner_text()


def test_search_and_invalidation_by_hand(browser: Browser, shown: Shown) -> None:
    with opened(browser, shown.server.http_url, Look(script=False)) as page:
        page.goto("/ui/actions/")
        page.get_by_label("Command").fill("gcc")
        page.get_by_label("Outcome").select_option("failed")
        page.keyboard.press("Tab")
        page.get_by_role("button", name="Search").click()
        assert page.locator("section[aria-labelledby=found] tbody tr").count() == 1
        page.goto("/ui/invalidations/")
        page.get_by_label("Target").fill("//docs/...")
        page.get_by_role("button", name="Go on").click()
        page.get_by_label("Reason").fill("wrong fonts")
        page.get_by_role("button", name="Invalidate").click()
        row = page.locator("section[aria-labelledby=known] tbody tr").first
        assert "wrong fonts" in row.inner_text()
        row.get_by_role("link", name="Take back").click()
        page.get_by_role("button", name="Take back").click()
        assert "taken back" in page.locator("section[aria-labelledby=known] tbody tr").first.inner_text()
