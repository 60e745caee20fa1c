# SPDX-License-Identifier: Apache-2.0
"""From the bytes of an argument or a variable to an option's value.

Each reader takes the bytes and returns the value or raises `ValueError` with the end of a sentence that begins
with the option's name. On the wrapper's start-up path: imports nothing.
"""

from __future__ import annotations

SIZE_UNITS = {
    "": 1,
    **{unit: 1000 ** (power + 1) for power, unit in enumerate("kmgtp")},
    **{f"{unit}b": 1000 ** (power + 1) for power, unit in enumerate("kmgtp")},
    **{f"{unit}i": 1024 ** (power + 1) for power, unit in enumerate("kmgtp")},
    **{f"{unit}ib": 1024 ** (power + 1) for power, unit in enumerate("kmgtp")},
    "b": 1,
}
DURATION_UNITS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
REMOTE_SCHEMES = ("grpc://", "grpcs://", "http://", "https://", "unix:")
_TRUE = (b"1", b"true", b"yes", b"on")
_FALSE = (b"0", b"false", b"no", b"off")


def path(value: bytes) -> bytes:
    """Any path; how it is resolved is its user's affair."""
    if not value:
        raise ValueError("needs a path, not an empty one")
    return value


def pattern(value: bytes) -> bytes:
    """A glob."""
    if not value:
        raise ValueError("needs a pattern, not an empty one")
    return value


def variable(value: bytes) -> bytes:
    """The name of an environment variable."""
    if not value or b"=" in value:
        raise ValueError("needs the name of a variable, such as CFLAGS")
    return value


def text(value: bytes) -> str:
    """UTF-8 text; empty is allowed, as instance names are."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ValueError("needs text in UTF-8") from None


def pair(value: bytes) -> tuple[str, str]:
    """KEY=VALUE, split at the first sign."""
    key, sign, rest = text(value).partition("=")
    # The value may be a credential, so it is not repeated.
    if not sign or not key.strip():
        raise ValueError("has the form KEY=VALUE")
    return key.strip(), rest


def flag(value: bytes) -> bool:
    """A boolean as a variable states it."""
    lower = value.lower()
    if lower not in _TRUE and lower not in _FALSE:
        raise ValueError(f"is 1 or 0, true or false, not {shown(value)}")
    return lower in _TRUE


def size(value: bytes) -> int:
    """Bytes: `500M` is 500 * 1000^2, `20GiB` is 20 * 1024^3, no unit means bytes; case does not count."""
    number, unit = _measure(value)
    if number < 0 or unit.lower() not in SIZE_UNITS:
        raise ValueError(f"is a size such as 500M or 20GiB, not {shown(value)}")
    return int(number * SIZE_UNITS[unit.lower()])


def positive_size(value: bytes) -> int:
    """A size of at least one byte."""
    found = size(value)
    if not found:
        raise ValueError("is a size above zero, such as 500M or 20GiB")
    return found


def duration(value: bytes) -> float:
    """Seconds: `90s`, `24h`, `30d`; also `ms`, `m` (minutes) and `w`; no unit means seconds."""
    number, unit = _measure(value)
    if number < 0 or unit not in DURATION_UNITS:
        raise ValueError(f"is a duration such as 90s, 24h or 30d, not {shown(value)}")
    return number * DURATION_UNITS[unit]


def positive_duration(value: bytes) -> float:
    """A duration above zero."""
    found = duration(value)
    if not found:
        raise ValueError("is a duration above zero, such as 90s or 24h")
    return found


class Choice:
    """The reader of one of the words `allowed`."""

    __slots__ = ("allowed",)

    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed

    def __call__(self, value: bytes) -> str:
        """Return the word."""
        found = value.decode("utf-8", "replace")
        if found not in self.allowed:
            raise ValueError(f"is one of {', '.join(self.allowed)}, not {shown(value)}")
        return found


def remote(value: bytes) -> str:
    """The address of a cache: a scheme of `REMOTE_SCHEMES`, then HOST[:PORT][/PATH], or the path of a socket."""
    url = text(value)
    scheme = next((scheme for scheme in REMOTE_SCHEMES if url.startswith(scheme)), None)
    if scheme is None:
        raise ValueError(f"is a URL that begins with {', '.join(REMOTE_SCHEMES[:-1])} or {REMOTE_SCHEMES[-1]}")
    rest = url[len(scheme) :]
    if not rest or any(sign.isspace() for sign in rest):
        raise ValueError(f"names no server after {scheme}, or has a space in it")
    if scheme != "unix:":
        _host_and_port(rest.partition("/")[0].rpartition("@")[2], scheme)
    return url


def _host_and_port(authority: str, scheme: str) -> None:
    """Check HOST[:PORT]; a user and password before them are not repeated in the message."""
    # An IPv6 address stands in brackets, since it has colons of its own.
    if authority.startswith("["):
        end = authority.find("]") + 1
    else:
        end = authority.find(":") if ":" in authority else len(authority)
    host, colon, port = authority[:end].strip("[]"), authority[end : end + 1], authority[end + 1 :]
    numbered = len(port) < 6 and port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if not host or (colon and not (colon == ":" and numbered)):
        raise ValueError(f"has the form {scheme}HOST:PORT, with a port from 1 to 65535")


def _measure(value: bytes) -> tuple[float | int, str]:
    """Split a number from the unit after it; (-1, "") when there is no number."""
    stripped = value.decode("utf-8", "replace").strip()
    unit = stripped.lstrip("0123456789.")
    number = stripped[: len(stripped) - len(unit)]
    whole, _, fraction = number.partition(".")
    if not whole or "." in fraction or number.endswith(".") or len(number) > 20:
        return -1, ""
    return (float(number) if fraction else int(whole)), unit.strip()


def shown(value: bytes) -> str:
    """Show any bytes as one line of text, in quotes when that is needed to see where they end."""
    text = value.decode("utf-8", "backslashreplace")
    return text if text.isprintable() and text and " " not in text else repr(text)
