# SPDX-License-Identifier: Apache-2.0
"""Programs made of file system operations: idioms that programs really use, and the changes they react to."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import attrs

from tests.oracle.changes import EVERYWHERE, Aim, aims
from tests.oracle.script import Script, block, do
from tests.oracle.worlds import DIRECTORIES, FILES, LINKS, MISSING, OUTPUTS, TOOL, WRITABLE

# Programs that overwrite what they have read are not stored by a tracer that reads its log afterwards.
DESTROYING = 0.3
CONTENT = ("edit", "flip", "quiet flip", "recreate")
STATUS = ("chmod", "edit", "to directory", "to symlink", "delete")
OUTPUT = ("edit", "dangle", "to directory", "to symlink", "chmod", "read only", "hard link", "delete", "create")


@attrs.frozen
class Part:
    """Some instructions that belong together, and the changes that should make them act otherwise."""

    script: Script
    aims: tuple[Aim, ...] = ()


@attrs.frozen
class Idiom:
    """A way to make a part; `kinds` are the facts that it exercises, `share` is how often it is taken."""

    kinds: frozenset[str]
    make: Callable[[Random], Part]
    share: float


IDIOMS: list[Idiom] = []


def idiom(*kinds: str, share: float = 1) -> Callable[[Callable[[Random], Part]], Callable[[Random], Part]]:
    """Enter a function into the table of idioms."""

    def enter(make: Callable[[Random], Part]) -> Callable[[Random], Part]:
        IDIOMS.append(Idiom(frozenset(kinds), make, share))
        return make

    return enter


@idiom("content")
def reading(rng: Random) -> Part:
    path = rng.choice((*FILES, b"ln", b"dl/in3", b"d/up"))
    extra = {"read-part": (rng.randrange(4), rng.randrange(1, 9))}
    name = rng.choice(("read", "read-part", "read-mapped", "read-by-proc", "read-nofollow"))
    if name == "read-by-proc" and path.startswith(b"~"):
        name = "read"
    return Part((do(name, path, *extra.get(name, ())),), aims(path, *CONTENT))


@idiom("content")
def reading_at(rng: Random) -> Part:
    return Part((do("read-at", rng.choice(("d", "dl")), "in3"),), aims(b"d/in3", *CONTENT))


@idiom("content", "target")
def converting(rng: Random) -> Part:
    source, target = rng.choice(FILES), rng.choice(OUTPUTS)
    return Part((do("copy", source, target),), aims(source, *CONTENT) + aims(target, *OUTPUT))


@idiom("content", share=DESTROYING)
def formatting(rng: Random) -> Part:
    path = rng.choice(WRITABLE)
    return Part((do("reformat", path),), aims(path, *CONTENT, "hard link", "read only"))


@idiom("content", "target")
def moving(rng: Random) -> Part:
    source, target = rng.choice(FILES[:4]), rng.choice((*OUTPUTS, b"o", b"hollow", b"out1/x"))
    name = rng.choice(("rename", "rename", "rename-noreplace", "exchange", "link"))
    return Part((do(name, source, target),), aims(source, *CONTENT, "chmod") + aims(target, *OUTPUT))


@idiom("content")
def moving_folders(rng: Random) -> Part:
    target = rng.choice((b"d2", b"hollow", b"spare", b"o", b"in1", b"d/sub/under"))
    return Part((do("rename", "d", target),), aims(b"d/sub/in4", *CONTENT) + aims(target, "clutter", "delete"))


@idiom("content", "error")
def running(rng: Random) -> Part:
    return Part((do("run", b"./" + TOOL),), (*aims(TOOL, "edit", "chmod", "delete"), Aim(b"MODE", "variable")))


@idiom("status")
def looking(rng: Random) -> Part:
    path = rng.choice((*FILES, *DIRECTORIES[:3], b"ln", b"lost", *OUTPUTS))
    name = rng.choice(("status", "link-status", "access"))
    return Part((do(name, path, *((rng.choice("0124"),) if name == "access" else ())),), aims(path, *STATUS))


@idiom("error")
def missing(rng: Random) -> Part:
    path = rng.choice(MISSING)
    return Part((do(rng.choice(("read", "status", "names", "readlink", "chdir")), path),), aims(path, "create"))


@idiom("error")
def falling_back(rng: Random) -> Part:
    path, target = rng.choice((b"none", b"d/absent", b"in2")), rng.choice(OUTPUTS)
    script = block("if-exists", path, body=(do("read", path),), otherwise=(do("write", target, "default\n"),))
    return Part((script,), aims(path, "create", "delete", "to directory", "dangle"))


@idiom("error")
def failing(rng: Random) -> Part:
    """Fail by what is there: its type, its being full, a loop, a name taken."""
    name, path, change = rng.choice(
        (
            ("readlink", b"in1", "to symlink"), ("rmdir", b"d", "empty"), ("mkdir", b"d", "delete"),
            ("read", b"loop", "delete"), ("read", b"d", "delete"), ("unlink", b"d", "dangle"),
            ("rmdir", b"in2", "to directory"), ("names", b"in1", "to directory"), ("read-nofollow", b"ln", "delete"),
            ("status", b"in1/below", "to directory"), ("mkdir", b"none/below", "create"), ("rmdir", b"none", "create"),
        )
    )  # fmt: skip
    return Part((do(name, path),), aims(path, change))


@idiom("change")
def making(rng: Random) -> Part:
    path = rng.choice((b"new", b"o/new"))
    one = rng.choice((do("mkdir", path), do("create", path, "x\n"), do("symlink", "in1", path)))
    if rng.random() < 0.3:
        return Part((do("mkdir", path), do("rmdir", path)), aims(path, "create", "to directory"))
    return Part((one,), aims(path, "create", "to directory", "dangle"))


@idiom("change")
def removing(rng: Random) -> Part:
    name, path = rng.choice((("unlink", rng.choice(WRITABLE)), ("rmdir", b"hollow"), ("unlink", b"ln")))
    return Part((do(name, path),), aims(path, "delete", "to directory", "edit", "clutter"))


@idiom("change")
def adjusting(rng: Random) -> Part:
    path = rng.choice(WRITABLE)
    one = rng.choice((do("chmod", path, rng.choice(("600", "755"))), do("stamp", path, 1_100_000_000)))
    return Part((one,), aims(path, "edit", "delete", "to directory", "chmod", "flip"))


@idiom("target")
def writing(rng: Random) -> Part:
    path = rng.choice((*OUTPUTS, b"none/out", b"d", b"lost", b"ln"))
    name = rng.choice(("write", "append", "publish", "append"))
    return Part((do(name, path, f"made {rng.randrange(100)}\n"),), aims(path, *OUTPUT))


@idiom("target")
def scribbling(rng: Random) -> Part:
    """Write a file and remove it, as configure scripts do: nothing is left but what was there before may be lost."""
    path = rng.choice((b"scribble", b"o/scribble"))
    return Part((do("write", path, "x\n"), do("unlink", path)), aims(path, "create", "to directory", "dangle"))


@idiom("target", "content", share=DESTROYING)
def patching(rng: Random) -> Part:
    path = rng.choice(WRITABLE)
    one = rng.choice((do("patch", path, 2, "??"), do("truncate", path, rng.randrange(9))))
    return Part((one,), aims(path, *CONTENT, "delete", "chmod"))


@idiom("listing")
def listing(rng: Random) -> Part:
    path = rng.choice((b"d", b"d/sub", b".", b"dl", b"hollow", b"o"))
    return Part((do(rng.choice(("names", "types")), path),), aims(path, "clutter", "clutter", "delete"))


@idiom("listing", "target")
def indexing(rng: Random) -> Part:
    line = b'for f in d/*; do echo "$f"; done > out2'
    return Part((do("shell", line), do("read", "out2")), aims(b"d", "clutter") + aims(b"d/in3", "delete"))


@idiom("link")
def following(rng: Random) -> Part:
    one, path = rng.choice(((do("readlink", "ln"), b"ln"), (do("read", "dl/in3"), b"dl"), (do("read", "ln"), b"ln")))
    return Part((one,), aims(path, "retarget", "delete", "to directory"))


@idiom("attribute")
def asking_attributes(rng: Random) -> Part:
    return Part((do("attribute", "in1", "key"),), aims(b"in1", "attribute"))


@idiom("order")
def comparing(rng: Random) -> Part:
    one, other = rng.sample((*FILES[:4], *OUTPUTS[:2]), 2)
    return Part((do("compared", one, other),), aims(one, "touch", "delete") + aims(other, "touch", "recreate"))


@idiom("order", "target")
def rebuilding(rng: Random) -> Part:
    source, target = rng.choice(FILES[:4]), rng.choice(OUTPUTS)
    up_to_date = (do("say", "up to date"),)
    one = block("if-newer", target, source, body=up_to_date, otherwise=(do("copy", source, target),))
    return Part((one,), aims(source, "touch", "edit") + aims(target, "touch", "delete"))


@idiom("variable")
def using_variables(rng: Random) -> Part:
    name = rng.choice((b"MODE", b"TERM", b"USER"))
    return Part((do("variable", name),), aims(name, "variable"))


@idiom("identity")
def telling_places(rng: Random) -> Part:
    one = rng.choice((do("directory"), do("variable", "HOME"), do("shell", "pwd; echo ~")))
    return Part((one,), (Aim(b"", "place"),))


@idiom("stream")
def taking_stdin(rng: Random) -> Part:
    one = rng.choice((do("stdin", rng.randrange(3, 30)), do("shell", "cat"), do("shell", "read x; echo $x")))
    return Part((one,), (Aim(b"", "stdin"), Aim(b"", "stdin"), Aim(b"", "stdin offset")))


@idiom()
def talking(rng: Random) -> Part:
    return Part((rng.choice((do("say", "said"), do("warn", "warned"), do("scratch", "temporary"), do("mask"))),),
                (Aim(b"", "umask"),))  # fmt: skip


@idiom("content", "status", "error", "target")
def at_once(rng: Random) -> Part:
    """Look at several names and write one at one time, in threads or in processes.

    What is written is no other name of what is read, or one time would not end as another: an earlier operation may
    have linked it.
    """
    looks = [
        do(rng.choice(("read", "read-mapped", "status", "link-status")), rng.choice((*FILES, b"ln", b"d/up", b"none")))
        for _ in range(rng.randrange(1, 4))
    ]
    target, source = rng.choice(OUTPUTS), rng.choice(FILES)
    writes = [do("names", "d"), rng.choice((do("copy", source, target), do("write", target, "made\n")))]
    subjects = tuple(aim for look in looks for aim in aims(look.words[0], *CONTENT, "delete"))
    script = block(rng.choice(("threads", "processes")), body=(*looks, *writes))
    return Part((do("unlink", target), script), subjects + aims(target, *OUTPUT) + aims(source, *CONTENT))


@idiom()
def anything(rng: Random) -> Part:
    """Do one operation on one name, whatever comes of it."""
    path = rng.choice((*WRITABLE, *OUTPUTS, *DIRECTORIES, *LINKS, *MISSING[:-1]))
    name = rng.choice(("read", "write", "unlink", "mkdir", "rmdir", "names", "status", "readlink", "touch", "append"))
    return Part((do(name, path, *(("x\n",) if name in ("write", "append") else ())),), aims(path, *EVERYWHERE))
