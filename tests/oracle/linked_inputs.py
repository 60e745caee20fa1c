# SPDX-License-Identifier: Apache-2.0
"""Declared inputs behind links, laid out as Bazel does with and without its sandbox: the ground of `_drop_layout`."""

from __future__ import annotations

import os
from random import Random

import attrs

from tests.oracle.histories import VARIABLES
from tests.oracle.rounds import Round, Step
from tests.oracle.script import Instruction, Script, do

WORKSPACES = ("one", "two")
EXECROOT, SANDBOX = "base/execroot/name", "base/sandbox/linux-sandbox/{}/execroot/name"
ROOTS = (EXECROOT, SANDBOX.format(1), SANDBOX.format(2))
LISTED = ("pkg/a.c", "pkg/b.c", "pkg/a.h", "pkg/alias.h", "pkg/inc/h.h", "pkg/s.s", "pkg/say.sh")
SOURCES = ("pkg/a.c", "pkg/a.h", "pkg/inc/h.h", "pkg/s.s", "pkg/say.sh")
LONG = "pkg" + "/." * 100  # gcc writes the real path of a system header where that is shorter

# Compilers resolve the names of what they are given; the others ask whether an input is a link, or tell where it is.
COMPILERS: tuple[tuple[str, ...], ...] = (
    ("gcc", "-c", "pkg/a.c", "-o", "out"),
    ("gcc", "-c", "pkg/a.c", "pkg/b.c"),
    ("gcc", "-g", "-c", "pkg/a.c", "-o", "out"),
    ("gcc", "-E", "-Ipkg/inc", "pkg/a.c"),
    ("gcc", "-H", "-fsyntax-only", "-Ipkg/inc", "pkg/a.c"),
    ("gcc", "-MD", "-MF", "out.d", "-isystem", "pkg/inc", "-c", "pkg/a.c", "-o", "out"),
    ("gcc", "-E", "-isystem", f"{LONG}/inc", "pkg/a.c"),
    ("gcc", "-include", "pkg/a.h", "-c", "pkg/b.c", "-o", "out"),
    ("gcc", "-shared", "-fPIC", "-fcommon", "pkg/a.c", "pkg/b.c", "-o", "out"),  # a failing linker names random files
    ("gcc", "-c", "pkg/inc/../a.c", "-o", "out"),
    ("as", "-Ipkg", "pkg/s.s", "-o", "out"),
    ("sh", "-c", "gcc -c pkg/a.c -o out && wc -c < pkg/a.h"),
)
ASKING: tuple[tuple[str, ...], ...] = (
    ("sh", "-c", "[ -L pkg/a.c ] && echo link; gcc -c pkg/a.c -o out"),
    ("sh", "-c", "gcc -c pkg/a.c -o out; readlink pkg/a.h pkg"),
    ("sh", "-c", "gcc -c pkg/a.c -o out; ls pkg"),
    ("sh", "-c", "find pkg/ -type l | sort; gcc -c pkg/a.c -o out"),
    ("sh", "-c", "sh pkg/say.sh; gcc -c pkg/b.c -o out"),
    ("sh", "-c", 'gcc -c "$(readlink -f pkg/a.c)" -o out'),
    ("cp", "-P", "pkg/a.h", "out"),
    ("realpath", "--relative-to=.", "pkg/a.h"),
)
TEXTS = {
    "pkg/a.c": (
        "int one(void) { return 1; }\n",
        '#include "a.h"\nint one(void) { return HEADER; }\n',
        '#include "a.h"\n#include "alias.h"\nint one(void) { return HEADER; }\n',
        '#include "inc/h.h"\nint one(void) { return INNER; }\n',
        '#if __has_include("extra.h")\n#include "extra.h"\n#endif\nint one;\n',
        "#if __has_include(<h.h>)\n#include <h.h>\n#endif\nconst char *file = __FILE__;\n",
    ),
    "pkg/a.h": (
        "#define HEADER 1\n",
        "#pragma once\n#define HEADER 2\nint once;\n",
        "#ifdef HEADER\n#undef HEADER\n#define HEADER 4\n#else\n#define HEADER 3\n#endif\n",
    ),
    "pkg/inc/h.h": ("#define INNER 1\n", '#include "../a.h"\n#define INNER HEADER\n', "#define INNER __FILE__[0]\n"),
    "pkg/s.s": (".globl one\none: ret\n", '.include "a.s"\n', '.incbin "a.h"\n'),
    "pkg/say.sh": ("echo said\n", 'readlink "$0" || echo none\n', 'wc -l < "$(dirname "$0")/a.h"\n'),
}
RUNS = 6


def make(rng: Random, seed: int, focus: str | None) -> Round:
    """Run one program in two workspaces, in sandboxes and in execution roots, while inputs and links change."""
    texts = {path: rng.choice(found) for path, found in TEXTS.items()}
    listed = tuple(path for path in LISTED if path == "pkg/a.c" or rng.random() < 0.85)
    program = rng.choice(COMPILERS if rng.random() < 0.7 else ASKING)
    options = ("--portable",) if rng.random() < 0.6 else ()
    first = Step(variables=VARIABLES, directory=_folder(rng))
    steps = (first, *(_step(rng, first) for _ in range(RUNS - 1)))
    return Round(
        "linked inputs", seed, _world(texts, listed), tuple(do("line", word) for word in program), steps,
        kind="command", options=("--inputs-file", "list", *options),
    )  # fmt: skip


def _folder(rng: Random) -> str:
    """The root of an action, as seen from the folder `work` of a world."""
    return f"../home/{rng.choice(WORKSPACES)}/{rng.choice(ROOTS)}"


def _world(texts: dict[str, str], listed: tuple[str, ...]) -> Script:
    """Both workspaces with the same text, each with an execution root and two sandboxes."""
    made = [part for name in WORKSPACES for part in (*_workspace(name, texts), *_roots(name, listed))]
    stamps = [
        do("stamp", f"~/{name}/ws/{path}", 1_200_000_000 + place)
        for name in WORKSPACES
        for place, path in enumerate((*SOURCES, "pkg/b.c", "pkg/inc", "pkg"))
    ]
    return (*made, *stamps)


def _workspace(name: str, texts: dict[str, str]) -> Script:
    files = [do("write", f"~/{name}/ws/{path}", text) for path, text in texts.items()]
    return (
        *_folders(f"{name}/ws/pkg/inc"), *files, do("write", f"~/{name}/ws/pkg/b.c", "int two;\n"),
        do("symlink", "a.h", f"~/{name}/ws/pkg/alias.h"),
    )  # fmt: skip


def _roots(name: str, listed: tuple[str, ...]) -> Script:
    """The execution root links folders, a sandbox links each declared file to where the execution root has it."""
    execroot = f"~/{name}/{EXECROOT}"
    made = [*_folders(f"{name}/{EXECROOT}"), do("symlink", f"~/{name}/ws/pkg", f"{execroot}/pkg")]
    for root in ROOTS[1:]:
        made += _folders(f"{name}/{root}/pkg/inc")
        made += [do("symlink", f"{execroot}/{path}", f"~/{name}/{root}/{path}") for path in listed]
    text = "".join(f"{path}\n" for path in listed)
    return (*made, *(do("write", f"~/{name}/{root}/list", text) for root in ROOTS))


def _folders(path: str) -> list[Instruction]:
    """Make every folder of a path below HOME; one that is there already stays."""
    parts = path.split("/")
    return [do("mkdir", "~/" + "/".join(parts[: size + 1])) for size in range(len(parts))]


def _step(rng: Random, first: Step) -> Step:
    """Ask again elsewhere: in another sandbox, without one, in the other workspace; often after a change."""
    folder = _folder(rng)
    step = attrs.evolve(first, anew=rng.random() < 0.7, directory=folder, label=f"in {folder}")
    step = attrs.evolve(step, aimed=folder != first.directory)
    if rng.random() < 0.4:
        what, changes = _change(rng, folder)
        step = attrs.evolve(step, aimed=True, changes=changes, label=f"{step.label}: {what}")
    return step


def _change(rng: Random, folder: str) -> tuple[str, Script]:
    """Edit an input, add one that nobody declared, or let a link lead elsewhere."""
    home = "~/" + folder.removeprefix("../home/")
    workspace = "~/" + folder.split("/")[2] + "/ws"
    path = rng.choice(SOURCES)
    changed = rng.choice(list(TEXTS[path]))
    other = rng.choice([name for name in WORKSPACES if name != folder.split("/")[2]])
    return rng.choice((
        (f"edit {path}", (do("write", f"{workspace}/{path}", changed),)),
        (f"edit {path}", (do("write", f"{workspace}/{path}", changed),)),
        ("an undeclared header", (do("write", f"{workspace}/pkg/extra.h", "#define EXTRA\nint extra;\n"),)),
        ("a header of its own", (do("write", f"{workspace}/pkg/inc/a.h", "#define HEADER 5\n"),)),
        ("alias", (do("wipe", f"{workspace}/pkg/alias.h"), do("write", f"{workspace}/pkg/alias.h", "int alias;\n"))),
        ("a plain file", (do("wipe", f"{home}/pkg/a.h"), do("write", f"{home}/pkg/a.h", "#define HEADER 6\n"))),
        ("another file", (do("wipe", f"{home}/pkg/a.h"), do("symlink", f"{workspace}/pkg/b.c", f"{home}/pkg/a.h"))),
        ("another tree", (
            do("wipe", f"{home}/{path}"), do("write", f"~/{other}/ws/{path}", changed),
            do("symlink", f"~/{other}/ws/{path}", f"{home}/{path}"),
        )),
        ("another workspace", (
            do("wipe", f"{os.path.dirname(workspace)}/{EXECROOT}/pkg"), do("write", f"~/{other}/ws/{path}", changed),
            do("symlink", f"~/{other}/ws/pkg", f"{os.path.dirname(workspace)}/{EXECROOT}/pkg"),
        )),
    ))  # fmt: skip
