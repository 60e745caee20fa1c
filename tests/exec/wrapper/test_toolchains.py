# SPDX-License-Identifier: Apache-2.0
"""Real toolchains: they read the machine to size themselves, keep caches outside the root, and hit all the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

from tests.exec.wrapper.place import Place
from tests.support.tracers import FIRST_TRACER

pytestmark = [pytest.mark.strace, pytest.mark.slow]

JAVA = 'class A { public static void main(String[] a) { System.out.println("%s"); } }\n'
GO = 'package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("%s") }\n'
CGO = """package main

// #cgo CFLAGS: -I${SRCDIR}/../include
// #include "v.h"
import "C"

func main() { println(C.V) }
"""
RUST = 'fn main() { println!("%s"); }\n'
CMAKE = 'cmake_minimum_required(VERSION 3.10)\nproject(x C)\nset(WORD "%s" CACHE STRING "")\nadd_executable(x main.c)\n'
PYTEST = "def test_one(tmp_path):\n    (tmp_path / 'f').write_text('%s')\n"
PACKAGE = '{"name": "x", "version": "1.0.0", "scripts": {"build": "node main.js > out.txt"}}\n'


@attrs.frozen
class Toolchain:
    """A command over some sources; the first of them has `%s` where a change is put. It makes `output`."""

    name: str
    command: tuple[str, ...]
    sources: Mapping[str, str]
    output: str | None
    needs: str = ""


GO_SOURCES = {"main.go": GO, "go.mod": "module example.com/x\n\ngo 1.19\n"}
RUST_SOURCES = {"src/main.rs": RUST, "Cargo.toml": '[package]\nname = "x"\nversion = "1.0.0"\nedition = "2021"\n'}
NODE_SOURCES = {"main.js": 'console.log("%s")\n', "package.json": PACKAGE}
CMAKE_SOURCES = {"CMakeLists.txt": CMAKE, "main.c": "int main(void) { return 0; }\n"}
PYTEST_COMMAND = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
TOOLCHAINS = (
    Toolchain("Go", ("go", "build", "-o", "app", "."), GO_SOURCES, "app", "go"),
    Toolchain("Cargo", ("cargo", "build", "--offline", "--quiet"), RUST_SOURCES, "target/debug/x", "cargo"),
    Toolchain("javac", ("javac", "A.java"), {"A.java": JAVA}, "A.class", "java"),
    Toolchain("java", ("java", "A.java"), {"A.java": JAVA}, None, "java"),
    Toolchain("Node.js", ("node", "main.js"), NODE_SOURCES, None, "node"),
    Toolchain("npm", ("npm", "run", "--silent", "build"), NODE_SOURCES, "out.txt", "npm"),
    Toolchain("CMake", ("cmake", "-B", "build", "."), CMAKE_SOURCES, "build/CMakeCache.txt", "cmake"),
    Toolchain("pytest", PYTEST_COMMAND, {"test_one.py": PYTEST}, None),
)


def sysroot() -> str:
    """The folder of Rust's own programs: rustup's stand-ins look for a toolchain in the home directory."""
    told = subprocess.run(["rustc", "--print", "sysroot"], env=CALLER, capture_output=True, text=True, check=True)
    return told.stdout.strip()


CALLER = {**os.environ, "HOME": os.path.expanduser(f"~{os.environ.get('USER', 'root')}")}


@pytest.fixture(scope="module")
def go_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build cache of Go that has the standard library."""
    folder = tmp_path_factory.mktemp("go")
    for name, text in GO_SOURCES.items():
        (folder / name).write_text(text)
    variables = {**os.environ, "GOCACHE": str(folder / "cache"), "GOFLAGS": "-buildvcs=false"}
    subprocess.run(["go", "build", "-o", "app", "."], cwd=folder, env=variables, check=True)
    return folder / "cache"


def variables_for(toolchain: Toolchain, request: pytest.FixtureRequest) -> dict[str, str]:
    """What a toolchain needs of its caller's environment."""
    path = os.environ["PATH"]
    if toolchain.name == "pytest":
        return {"PATH": path, "PYTEST_DEBUG_TEMPROOT": str(request.getfixturevalue("tmp_path"))}
    if toolchain.name == "npm":  # else it asks its registry for news
        return {"PATH": path, "npm_config_update_notifier": "false"}
    if toolchain.needs == "go":
        return {"PATH": path, "GOCACHE": str(request.getfixturevalue("go_cache")), "GOFLAGS": "-buildvcs=false"}
    return {"PATH": f"{sysroot()}/bin:{path}" if toolchain.needs == "cargo" else path}


@pytest.mark.parametrize("tracer", FIRST_TRACER)
@pytest.mark.parametrize(
    "toolchain",
    [pytest.param(one, id=one.name, marks=getattr(pytest.mark, one.needs) if one.needs else ()) for one in TOOLCHAINS],
)
def test_from_a_clean_tree_it_hits_at_once(
    place: Place, toolchain: Toolchain, tracer: str, request: pytest.FixtureRequest
) -> None:
    variables = variables_for(toolchain, request)

    def ask(word: str, outcomes: str) -> tuple[bytes, bytes]:
        for name in os.listdir(place.root):
            if name != "WORKSPACE":
                path = place.root / name
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for name, text in toolchain.sources.items():
            os.utime(place.put(name, text.replace("%s", word)), (1_500_000_000, 1_500_000_000))
        ended = place.run("--tracer", tracer, "--", *toolchain.command, variables=variables)
        assert ended.status == 0
        assert ended.outcome in outcomes.split("|"), ended.record and ended.record.line["reasons"]
        made = (place.root / toolchain.output).read_bytes() if toolchain.output else b""
        return ended.stdout, made

    # A cache that was filled by the first run is another input of the second.
    again = ("miss|hit", "hit") if toolchain.needs == "go" else ("hit",)
    first = ask("one", "miss")
    assert [ask("one", outcome) for outcome in again] == [first] * len(again)
    second = ask("two", "miss")
    assert [ask("two", outcome) for outcome in again] == [second] * len(again)
    assert second != first or toolchain.name == "pytest"


@pytest.mark.node
@pytest.mark.parametrize("code", ["require('os').totalmem()", "require('fs').readFileSync('/proc/self/maps')"])
def test_what_a_script_asks_of_the_machine_is_no_start_of_a_runtime(place: Place, code: str) -> None:
    variables = {"PATH": os.environ["PATH"]}
    assert place.run("--", "node", "-e", "1", variables=variables).outcome == "miss"
    asked = place.run("--", "node", "-e", code, variables=variables)
    assert (asked.outcome, asked.reasons) == ("not_stored", ("machine",))


READS = """import java.nio.file.*;
class A { public static void main(String[] a) throws Exception { Files.readAllBytes(Path.of(a[0])); } }
"""


@pytest.mark.java
@pytest.mark.parametrize("path", ["/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/uptime"])
def test_what_a_class_reads_of_the_machine_is_no_start_of_java(place: Place, path: str) -> None:
    variables = {"PATH": os.environ["PATH"]}
    place.put("A.java", READS)
    assert place.run("--", "java", "A.java", "A.java", variables=variables).outcome == "miss"
    asked = place.run("--", "java", "A.java", path, variables=variables)
    assert (asked.outcome, asked.reasons) == ("not_stored", ("machine",))


@pytest.mark.java
def test_java_counts_the_memory_by_which_it_sizes_its_heap(place: Place) -> None:
    place.put("A.java", JAVA % "one")
    assert place.run("--", "java", "A.java", variables={"PATH": os.environ["PATH"]}).outcome == "miss"
    command = (os.path.join(sysconfig.get_path("scripts"), "pytrace"), "show", "latest", "--inputs", "--json")
    shown = subprocess.run([*command, "--dir", str(place.store)], stdout=subprocess.PIPE, check=True).stdout
    facts = {found["name"]: found["value"] for found in json.loads(shown)["inputs"] if "name" in found}
    assert facts["memory"] == str(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


@pytest.mark.go
@pytest.mark.compiler
def test_what_go_s_cache_does_not_name_is_seen_where_the_cache_is_cold(place: Place, go_cache: Path) -> None:
    """A header that a C part includes from outside of its package."""
    place.put("include/v.h", "#define V 1\n")
    place.put("mod/go.mod", GO_SOURCES["go.mod"])
    place.put("mod/main.go", CGO)
    cold = place.base / "cold"
    shutil.copytree(go_cache, cold)
    variables = {"PATH": os.environ["PATH"], "GOCACHE": str(place.base / "warm"), "GOFLAGS": "-buildvcs=false"}
    shutil.copytree(go_cache, place.base / "warm")
    command = ("--", "go", "build", "-o", "app", ".")

    def built() -> bytes:
        assert place.run(*command, cwd="mod", variables=variables).status == 0
        return subprocess.run([place.root / "mod" / "app"], capture_output=True, check=True).stderr

    assert built() == b"1\n"
    (place.root / "mod" / "app").unlink()
    assert built() == b"1\n"
    place.put("include/v.h", "#define V 2\n")
    shutil.rmtree(place.base / "warm")
    shutil.copytree(cold, place.base / "warm")
    (place.root / "mod" / "app").unlink()
    assert built() == b"2\n"


@pytest.mark.go
def test_a_command_about_the_cache_is_never_answered(place: Place) -> None:
    variables = {"PATH": os.environ["PATH"], "GOCACHE": str(place.base / "cache")}
    for _ in range(2):
        assert place.run("--", "go", "clean", "-testcache", variables=variables).outcome == "not_stored"


@pytest.mark.npm
def test_npm_compares_times_of_packages(place: Place) -> None:
    """It trusts its list of what is installed unless a package's folder is newer."""
    place.put("foo/package.json", '{"name": "foo", "version": "1.0.0"}')
    place.put("package.json", '{"name": "x", "version": "1.0.0", "dependencies": {"foo": "file:foo/foo-1.0.0.tgz"}}')
    variables = {"PATH": os.environ["PATH"], "npm_config_update_notifier": "false"}

    def npm(*words: str, cwd: str = ".") -> bytes:
        environment = place.environment(variables)
        return subprocess.run(
            ["npm", *words, "--offline"], cwd=place.root / cwd, env=environment, capture_output=True, check=False
        ).stdout

    npm("pack", cwd="foo")
    npm("install")
    command = ("--cache-failures", "--", "npm", "ls", "--offline")
    assert b"foo@1.0.0" in place.run(*command, variables=variables).stdout
    installed = place.root / "node_modules" / "foo"
    (installed / "package.json").write_text('{"name": "foo", "version": "2.0.0"}')
    os.utime(installed)
    assert place.run(*command, variables=variables).stdout == npm("ls")


@pytest.mark.node
def test_a_cache_in_the_root_is_an_output(place: Place) -> None:
    place.put("main.js", "require('fs').mkdirSync('cache/_logs', {recursive: true})\n")
    logs = place.root / "cache" / "_logs"
    variables = {"PATH": os.environ["PATH"], "npm_config_cache": str(logs.parent)}
    assert place.run("--", "node", "main.js", variables=variables).outcome == "miss"
    shutil.rmtree(logs.parent)
    assert place.run("--", "node", "main.js", variables=variables).outcome == "hit"
    assert logs.is_dir()
