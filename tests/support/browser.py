# SPDX-License-Identifier: Apache-2.0
"""Debian's Chromium, driven by Playwright, and axe-core to judge what it shows."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
from playwright.sync_api import sync_playwright

from tests.support.tools import AXE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1200, "height": 800}
# The policy of our pages forbids scripts of others; the judge is let in by the browser, not by the page.
_JUDGE = "() => axe.run(document, {resultTypes: ['violations']})"
_GRAVE = ("serious", "critical")


@attrs.frozen
class Look:
    """How a page is looked at."""

    width: str = "desk"
    scheme: str = "light"
    script: bool = True


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start a browser that stores nothing."""
    program = shutil.which("chromium")
    assert program is not None
    # Its sandbox needs namespaces that root and containers do not have.
    arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, look: Look | None = None, **options: Any) -> Iterator[Page]:
    """Open a tab of its own at an address of the server; what its console says must not be an error."""
    look = look or Look()
    context = browser.new_context(
        base_url=url,
        viewport=PHONE if look.width == "phone" else DESK,  # type: ignore[arg-type]
        color_scheme=look.scheme,  # type: ignore[arg-type]
        java_script_enabled=look.script,
        **options,
    )
    said: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("dialog", lambda dialog: said.append(f"dialog {dialog.message}"))
    try:
        yield page
    finally:
        context.close()
    assert said == []


def violations(page: Page) -> list[str]:
    """What axe finds that is serious or critical, each with the first element concerned."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(AXE.program("node_modules/axe-core/axe.min.js").read_text())
    found = page.evaluate(_JUDGE)["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found if one["impact"] in _GRAVE]


def overflows(page: Page) -> bool:
    """Whether the page is wider than the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))
