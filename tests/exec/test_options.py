# SPDX-License-Identifier: Apache-2.0
"""Options from flags, variables and files: values, order, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytrace_exec import option_values
from pytrace_exec.option_help import page
from pytrace_exec.option_table import OPTIONS, Option
from pytrace_exec.options import Options, UsageError, check, load_files, parse

COMMAND = ["--", "true"]
EXAMPLES = {"SIZE": "500M", "DUR": "90s", "K=V": "k=v", "URL": "grpc://host:9092", "MODE": "off", "HOW": "stat"}
WORDS = {"digest-function": "sha256", "tracer": "strace", "log-level": "debug"}


def example(name: str, metavar: str) -> str:
    return WORDS.get(name) or EXAMPLES.get(metavar, "x")


def refused(argv: list[str], environ: dict[bytes, bytes] | None = None) -> UsageError:
    with pytest.raises(UsageError) as caught:
        parse(argv, environ or {})
    assert "\n" not in str(caught.value)
    return caught.value


def message(argv: list[str | bytes]) -> str:
    """Say what is wrong with a command line; "" when nothing is."""
    try:
        parse(argv, {})
    except UsageError as error:
        return str(error)
    return ""


def test_every_option_has_its_attribute_and_its_type() -> None:
    assert (
        {option.attribute for option in OPTIONS} | {"sources"} == set(Options.__slots__) == set(Options.__annotations__)
    )


@pytest.mark.parametrize("option", [one for one in OPTIONS if "flag" in one.scope], ids=lambda one: one.name)
def test_every_flag_sets_its_attribute(option: Option) -> None:
    words = [f"--{option.name}", example(option.name, option.metavar)] if option.metavar else [f"--{option.name}"]
    options, _ = parse([*words, *COMMAND], {})
    assert getattr(options, option.attribute) != option.default
    assert options.sources == {option.attribute: words[0]}


@pytest.mark.parametrize("option", [one for one in OPTIONS if "env" in one.scope], ids=lambda one: one.name)
def test_every_variable_sets_its_attribute(option: Option) -> None:
    value = example(option.name, option.metavar) if option.metavar else "1"
    options, _ = parse(COMMAND, {option.variable: value.encode()})
    assert getattr(options, option.attribute) != option.default
    assert options.sources == {option.attribute: option.variable.decode()}


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["gcc", "--strict"], [b"gcc", b"--strict"]),
        (["--", "--strict"], [b"--strict"]),
        (["--strict", "-", "x"], [b"-", b"x"]),
        (["--strict", "--", "--", "x"], [b"--", b"x"]),
        (["-o", "--", "x"], [b"x"]),
        (["--", ""], [b""]),
        ([b"--", b"\xff"], [b"\xff"]),
        (["--", "\udcff"], [b"\xff"]),
    ],
)
def test_the_command_begins_at_the_first_word_that_is_no_option(argv: list[bytes | str], command: list[bytes]) -> None:
    assert parse(argv, {})[1] == command


@pytest.mark.parametrize("argv", [["-oa", "--output", "b"], ["-o", "a", "--output=b"]])
def test_a_value_follows_or_is_part_of_the_word(argv: list[str]) -> None:
    assert parse([*argv, *COMMAND], {})[0].output == (b"a", b"b")


@pytest.mark.parametrize(
    ("argv", "source"),
    [
        ([], ""),
        (["--"], ""),
        (["--strict"], ""),
        (["--dir"], "--dir"),
        (["--dir=", "x"], "--dir"),
        (["--strict=1", "x"], "--strict"),
        (["--no-dir", "x"], "--no-dir"),
        (["--str", "x"], "--str"),
        (["--units", "x"], "--units"),
        (["--remote-only", "x"], "--remote-only"),
        (["-z", "x"], "-z"),
        (["--a\nb", "x"], "'--a\\nb'"),
        (["--tracer", "gdb", "x"], "--tracer"),
        (["--max-size", "0", "x"], "--max-size"),
        (["--timeout", "0s", "x"], "--timeout"),
        (["--label", "novalue", "x"], "--label"),
        (["--env", "A=b", "x"], "--env"),
        (["--instance-name", "\udcff", "x"], "--instance-name"),
    ],
)
def test_a_malformed_command_line_is_refused(argv: list[str], source: str) -> None:
    assert refused(argv).source == source


def test_a_malformed_variable_is_refused_by_its_name() -> None:
    assert refused(COMMAND, {b"PYTRACE_MAX_SIZE": b"much"}).source == "PYTRACE_MAX_SIZE"
    assert refused(COMMAND, {b"PYTRACE_DISABLE": b"perhaps"}).source == "PYTRACE_DISABLE"


def test_help_and_version_need_no_command_and_no_sound_environment() -> None:
    assert parse(["--help"], {b"PYTRACE_MODE": b"?"})[0].help
    assert parse(["--version"], {b"PYTRACE_MODE": b"?"})[0].version


@pytest.mark.parametrize(
    ("environ", "mode"),
    [
        ({b"PYTRACE_DISABLE": b"1"}, "off"),
        ({b"PYTRACE_READONLY": b"yes"}, "readonly"),
        ({b"PYTRACE_RECACHE": b"TRUE"}, "recache"),
        ({b"PYTRACE_DISABLE": b"0"}, "readwrite"),
        ({b"PYTRACE_DISABLE": b""}, "readwrite"),
        ({b"PYTRACE_RECACHE": b"1", b"PYTRACE_READONLY": b"1"}, "readonly"),
        ({b"PYTRACE_MODE": b"recache", b"PYTRACE_DISABLE": b"1"}, "recache"),
    ],
)
def test_short_forms_of_the_mode(environ: dict[bytes, bytes], mode: str) -> None:
    assert parse(COMMAND, environ)[0].mode == mode
    assert parse(["--mode", "readwrite", *COMMAND], environ)[0].mode == "readwrite"


def test_lists_in_the_environment_are_split_and_come_before_flags() -> None:
    environ = {b"PYTRACE_OUTPUT": b"a::b", b"PYTRACE_LABEL": b"k=1:2\nl=", b"PYTRACE_ENV": b":"}
    options, _ = parse(["-o", "c", *COMMAND], environ)
    assert options.output == (b"a", b"b", b"c")
    assert options.label == (("k", "1:2"), ("l", ""))
    assert options.sources == {"output": "PYTRACE_OUTPUT, -o", "label": "PYTRACE_LABEL"}


@given(
    number=st.integers(0, 10**6),
    unit=st.sampled_from(["", "B", "k", "K", "kB", "M", "MB", "G", "T", "Ki", "GiB", "tib"]),
)
def test_sizes(number: int, unit: str) -> None:
    base = 1024 if "i" in unit.lower() else 1000
    power = " kmgtp".index(unit[0].lower()) if unit.lower() not in ("", "b") else 0
    assert option_values.size(f"{number}{unit}".encode()) == number * base**power


@given(
    number=st.integers(0, 10**6),
    unit=st.sampled_from([("ms", 0.001), ("s", 1), ("", 1), ("m", 60), ("h", 3600), ("d", 86400), ("w", 604800)]),
)
def test_durations(number: int, unit: tuple[str, float]) -> None:
    assert option_values.duration(f"{number}{unit[0]}".encode()) == pytest.approx(number * unit[1])


def test_fractions() -> None:
    assert option_values.size(b"1.5GiB") == 3 << 29
    assert option_values.duration(b"0.5h") == 1800


@given(st.binary())
def test_any_bytes_are_a_value_or_are_refused_in_one_line(value: bytes) -> None:
    for name in (b"--max-size=", b"--timeout=", b"--remote=", b"--label=", b"--mode=", b"--"):
        assert "\n" not in message([name + value, *COMMAND])


@pytest.mark.parametrize("value", ["", "x", "1.2.3", ".5", "5.", "-1", "1e3", "1X", "1 0M", "9" * 30, "inf", "\u0663"])
def test_what_is_no_measure_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="is a size"):
        option_values.size(value.encode())
    with pytest.raises(ValueError, match="is a duration"):
        option_values.duration(value.encode())


@pytest.mark.parametrize(
    "url",
    ["grpc://h", "grpcs://h:1/name", "http://u:p@h:80/x", "https://[::1]:443", "http://[::1]", "unix:/s", "unix:s"],
)
def test_remotes(url: str) -> None:
    assert option_values.remote(url.encode()) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:9092",
        "ftp://h",
        "grpc://",
        "grpc://:1",
        "grpc://h:",
        "grpc://h:0",
        "grpc://h:65536",
        "grpc://h:x",
        "grpc://a b",
        "unix:",
        "http://[::1",
        "http://[]:1",
        "http://[::1]x",
        "http:///p",
    ],
)
def test_malformed_remotes_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        option_values.remote(url.encode())


def test_a_refused_remote_or_header_does_not_show_its_password() -> None:
    assert "secret" not in str(refused(["--remote", "http://me:secret@host:x", *COMMAND]))
    assert "secret" not in str(refused(["--remote-header", "secret", *COMMAND]))


class Places:
    """A root, a home and a configuration folder to put files into."""

    def __init__(self, base: Path) -> None:
        self.root = base / "root"
        self.home = base / "home"
        self.user = self.home / ".config/pytrace/config.toml"
        self.root.mkdir()
        self.user.parent.mkdir(parents=True)
        self.environ = {b"HOME": os.fsencode(self.home)}

    def load(self, *argv: str) -> Options:
        options, _ = parse([*argv, *COMMAND], self.environ)
        load_files(options, os.fsencode(self.root), self.environ)
        return options

    def refused(self) -> UsageError:
        with pytest.raises(UsageError) as caught:
            self.load()
        assert "\n" not in str(caught.value)
        return caught.value


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    monkeypatch.setattr("pytrace_exec.options.SYSTEM_FILE", os.fsencode(tmp_path / "system.toml"))
    return Places(tmp_path)


def test_nearer_sources_win(places: Places, tmp_path: Path) -> None:
    (places.root / "pytrace.toml").write_text('probe = "stat"\nmtime = true\ntimeout = 5\nmode = "off"\n')
    places.user.write_text('probe = "content"\nmax-size = "1M"\nremote-timeout = 1.5\n')
    (tmp_path / "system.toml").write_text('max-size = "2M"\ninstance-name = "main"\nlog-level = {}\n')
    places.environ[b"PYTRACE_MODE"] = b"readonly"
    options = places.load("--no-mtime")
    assert (options.probe, options.mtime, options.timeout, options.mode) == ("stat", False, 5.0, "readonly")
    assert (options.max_size, options.remote_timeout, options.instance_name) == (10**6, 1.5, "main")
    assert options.sources["max_size"] == str(places.user)
    assert options.sources["mtime"] == "--no-mtime"


def test_repeatable_options_gather_over_all_sources(places: Places) -> None:
    (places.root / "pytrace.toml").write_text('label = ["a=2"]\nenv = "CC"\n')
    places.user.write_text('label = ["a=1", "b=1"]\n')
    options = places.load("--label", "a=3")
    assert options.label == (("a", "1"), ("b", "1"), ("a", "2"), ("a", "3"))
    assert options.env == (b"CC",)


def test_paths_in_files_are_relative_to_the_file(places: Places) -> None:
    (places.root / "pytrace.toml").write_text('output = ["out", "/abs"]\nignore = ["*.log"]\ndir = "~/store"\n')
    options = places.load()
    assert options.output == (os.fsencode(places.root / "out"), b"/abs")
    assert options.ignore == (b"*.log",)
    assert options.dir == os.fsencode(places.home / "store")


def test_pyproject_counts_unless_there_is_a_pytrace_toml(places: Places) -> None:
    (places.root / "pyproject.toml").write_text("[tool.pytrace]\nstrict = true\n[tool.pytrace.ci]\nx = 1\n")
    assert places.load().strict
    (places.root / "pytrace.toml").write_text("")
    assert not places.load().strict


@pytest.mark.parametrize(
    "content",
    ["x", 'mode = "fast"', "strict = 1", "dir = 3", "max-size = true", "ouput = 'a'", 'root = "/"', "label = {}"],
)
def test_malformed_files_are_refused_by_their_name(places: Places, content: str) -> None:
    file = places.root / "pytrace.toml"
    file.write_text(content)
    assert places.refused().source == str(file)


def test_a_folder_in_place_of_a_file_is_refused(places: Places) -> None:
    (places.root / "pytrace.toml").mkdir()
    places.refused()


def test_files_that_say_nothing_cost_no_parser(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "other"\n')
    script = (
        "import os, sys; from pytrace_exec.options import load_files, parse;"
        "options, _ = parse(['--', 'true'], os.environb); load_files(options, os.fsencode(sys.argv[1]), os.environb);"
        "print(*sys.modules)"
    )
    environ = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run([sys.executable, "-c", script, tmp_path], env=environ, capture_output=True, check=True)
    loaded = set(done.stdout.decode().split())
    assert "pytrace_exec.options" in loaded
    assert not loaded & {"tomllib", "pytrace_exec.option_files", "pytrace_exec.option_help", "argparse", "typing", "re"}


def test_the_help_page_names_every_flag_and_ends_with_the_statuses() -> None:
    text = page()
    for option in OPTIONS:
        assert f"-{option.name}" in text or f"]{option.name}" in text or option.variable.decode() in text
    assert [line.split()[0] for line in text.splitlines()[-3:]] == ["125", "126", "127"]
    assert max(map(len, text.splitlines())) <= 80


def test_which_inputs_were_not_used_can_be_told_only_of_a_list() -> None:
    with pytest.raises(UsageError) as caught:
        check(parse(["--unused-inputs-list", "f", "x"], {})[0])
    assert caught.value.source == "--unused-inputs-list"
