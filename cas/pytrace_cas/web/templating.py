# SPDX-License-Identifier: Apache-2.0
"""Templates: everything that they are given is escaped, and shown without characters that act."""

from __future__ import annotations

import shlex
import time
from functools import cache
from typing import TYPE_CHECKING, Any

from pytrace_cas import __version__
from pytrace_cas.web.previews import visible

if TYPE_CHECKING:
    from jinja2 import Environment, Template

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_AGES = ((86400, "d"), (3600, "h"), (60, "min"))


@cache
def _environment() -> Environment:
    """Imported and made when the first page is asked for: a cache that nobody looks at does without."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pytrace_cas.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        # What is printed passes here before it is escaped.
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    environment.filters.update(size=size, ago=ago, moment=moment, shell=shell, short=short, seconds=seconds, rate=rate)
    environment.globals.update(version=__version__)
    return environment


def render(name: str, values: dict[str, Any]) -> str:
    """A page; `values` are what its template names."""
    template: Template = _environment().get_template(name)
    return template.render(values)


def size(count: float) -> str:
    """Bytes as people read them."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 or count >= 100 else f"{count:.1f} {_UNITS[unit]}"


def ago(when: float) -> str:
    """How long ago a moment was, roughly."""
    passed = max(0.0, time.time() - when)
    return next((f"{passed / unit:.0f} {name} ago" for unit, name in _AGES if passed >= unit), "just now")


def moment(when: float) -> str:
    """A moment in UTC, as HTML's `datetime` has it."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(when))


def rate(share: float) -> str:
    """A share in percent."""
    return f"{100 * share:.0f} %" if share in (0, 1) else f"{100 * share:.1f} %"


def seconds(count: float) -> str:
    """A duration."""
    return f"{count:.2f} s" if count >= 1 else f"{count * 1000:.0f} ms"


def shell(words: list[str]) -> str:
    """A command as one would type it."""
    return shlex.join(words)


def short(digest: str) -> str:
    """The beginning of a digest, enough for people."""
    return digest[:12]
