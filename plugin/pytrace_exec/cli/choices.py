# SPDX-License-Identifier: Apache-2.0
"""Options that verbs share: those of `pytrace-exec`, by its own table, and how an answer is written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.digest import function_named
from pytrace_cas.store import Store
from pytrace_exec.cache.errors import CacheFailed
from pytrace_exec.cache.opening import open_cache
from pytrace_exec.cache.remembered import Remembered
from pytrace_exec.cache.remote import Address
from pytrace_exec.cli.exit_status import NO_STORE, status_of
from pytrace_exec.cli.given import BY_NAME, options_of
from pytrace_exec.cli.given import REMOTE as REMOTE
from pytrace_exec.cli.main import Failed
from pytrace_exec.store_opening import open_folder, store_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.digest import DigestFunction
    from pytrace_exec.cache.local import LocalCache
    from pytrace_exec.option_table import Option
    from pytrace_exec.options import Options


def wrapper_options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add options of `pytrace-exec`; the verb gets what was given as one dictionary by `chosen`."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for name in reversed(names):
            command = _as_click(BY_NAME[name])(command)
        return command

    return add


def _as_click(option: Option) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def gather(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        if value not in (None, ()):
            ctx.ensure_object(dict)[option.name] = value

    told = f"{option.help[:1].upper()}{option.help[1:]}. [env: {option.variable.decode()}]"
    form = f"--{option.name}" if option.metavar else f"--{option.name}/--no-{option.name}"
    attributes: dict[str, Any] = {"metavar": option.metavar, "multiple": bool(option.many)} if option.metavar else {}
    return click.option(form, callback=gather, expose_value=False, default=None, help=told, **attributes)


def chosen() -> Options:
    """What the verb's flags, the environment and the files say, as `pytrace-exec` would read it.

    Raises `UsageError`, or `Failed` for a root that cannot be one.
    """
    return options_of(click.get_current_context().ensure_object(dict))


def is_remote_asked() -> bool:
    """Whether the command line names a remote; what is listed and counted is else the local store's.

    The environment and the files name the remote that runs use, which often cannot be listed.
    """
    return "remote" in click.get_current_context().ensure_object(dict)


def folder_of(options: Options) -> bytes:
    """Where the store is; raise `Failed` when nothing says so."""
    folder = store_folder(options, os.environb)
    if folder is None:
        raise Failed("no store: HOME is not set; --dir names one", NO_STORE)
    return folder


def open_store(options: Options) -> Store:
    """Open the store to read it; raise a `StoreError`, or `Failed` when nothing says where it is."""
    return Store.open(folder_of(options), read_only=True)


def open_store_for_remote(options: Options) -> Store:
    """Open or make the store, which keeps what a remote sends; without remote as `open_store`."""
    return open_store(options) if options.remote is None else open_folder(folder_of(options))


def open_chosen_cache(store: Store, options: Options) -> LocalCache:
    """The cache that the options name; a remote that failed a moment ago is asked again, since somebody wants to know.

    Raises `Failed` when only a remote is to be used and none is named.
    """
    if options.remote is not None and not store.read_only:
        Remembered(store, Address(options.remote, options.instance_name).name).forgive()
    try:
        return open_cache(store, options)
    except CacheFailed as error:
        raise Failed(str(error), status_of(error)) from None


def function_of(options: Options) -> DigestFunction:
    """The digest function that `pytrace-exec` would use with these options."""
    return function_named(options.digest_function or "blake3")


def format_options(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `--format`, `--json` and `--color`; the verb gets `format` and `color`."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        color = click.Choice(("auto", "always", "never"))
        command = click.option("--color", type=color, default="auto", **twin("PYTRACE_COLOR"), help="Colours.")(command)
        command = click.option("--json", "as_json", is_flag=True, help="The same as --format json.")(command)
        chosen = click.Choice(("text", "json", *formats))
        return click.option(
            "--format", type=chosen, default="text", **twin("PYTRACE_FORMAT"), show_default=True, help="How to answer."
        )(command)

    return add


def twin(variable: str) -> dict[str, Any]:
    """The attributes of an option that a variable sets as well."""
    return {"envvar": variable, "show_envvar": True}
