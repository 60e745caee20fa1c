# SPDX-License-Identifier: Apache-2.0
"""Run a generated program: one operation a line, words percent-escaped, blocks ended by `end`.

Started as `python -I -S -B interpreter.pyc PROGRAM [LINE LINE]`; it imports little, so that a run costs what a bare
interpreter costs. Every operation prints what it observed, so that a difference between a plain and a
replayed run cannot stay silent. The oracle also uses these operations, in process, to build and change worlds.
`interpreter.c` does the same programs with the same words, and starts faster.
"""

from __future__ import annotations

import _thread
import errno
import os
import stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

TICK_SECONDS = 0.012  # longer than a clock tick of a 100 Hz kernel: two writes never share a time stamp
LETTERS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo"}
BLOCKS = {"child", "fork", "if-exists", "if-newer", "if-variable", "in", "processes", "thread", "threads"}
OPTIONS = ("-I", "-S", "-B")
PIPED = 60_000  # fits into a pipe
QUOTED = {one: f"%{one:02x}" for one in range(256) if not 32 < one < 127 or one == 37}
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2


def tick() -> None:
    """Let the clock that stamps files move on."""
    time.sleep(TICK_SECONDS)


def decode(word: str) -> bytes:
    """Undo percent-escapes; `~/` stands for HOME and `^/` for TMPDIR."""
    parts = word.encode().split(b"%")
    path = parts[0] + b"".join(bytes([int(part[:2], 16)]) + part[2:] for part in parts[1:])
    for sign, name in ((b"~/", b"HOME"), (b"^/", b"TMPDIR")):
        if path.startswith(sign):
            return os.path.join(os.environb[name], path[2:])
    return path


def quoted(data: bytes) -> str:
    """Write bytes with all but visible characters, and the percent sign, as two digits."""
    return "=" + data.decode("latin-1").translate(QUOTED)


def get(path: bytes, flags: int = 0, directory: int | None = None, size: int = 1 << 20, offset: int = 0) -> bytes:
    """Read without asking for the file's status, so that only its content is a fact."""
    descriptor = os.open(path, os.O_RDONLY | flags, dir_fd=directory)
    try:
        return os.pread(descriptor, size, offset)
    finally:
        os.close(descriptor)


def put(path: bytes, content: bytes, flags: int, mode: int = 0o666) -> None:
    """Open with `flags` and write."""
    descriptor = os.open(path, os.O_WRONLY | flags, mode)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)


def described(status: os.stat_result) -> str:
    """Say what every file system shows alike: type and mode, and a regular file's size."""
    kind = LETTERS.get(stat.S_IFMT(status.st_mode), "other")
    size = status.st_size if kind == "file" else "-"
    return f"{kind} {stat.S_IMODE(status.st_mode):04o} {size}"


def read(path: bytes) -> str:
    return quoted(get(path))


def read_part(path: bytes, offset: bytes, size: bytes) -> str:
    return quoted(get(path, size=int(size), offset=int(offset)))


def read_mapped(path: bytes) -> str:
    import mmap

    descriptor = os.open(path, os.O_RDONLY)
    try:
        with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as mapped:
            return quoted(bytes(mapped))
    finally:
        os.close(descriptor)


def read_nofollow(path: bytes) -> str:
    return quoted(get(path, os.O_NOFOLLOW))


def read_at(directory: bytes, path: bytes) -> str:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return quoted(get(path, directory=descriptor))
    finally:
        os.close(descriptor)


def read_by_proc(path: bytes) -> str:
    return quoted(get(b"/proc/self/cwd/" + path))


def write(path: bytes, text: bytes) -> None:
    put(path, text, os.O_CREAT | os.O_TRUNC)


def append(path: bytes, text: bytes) -> None:
    put(path, text, os.O_CREAT | os.O_APPEND)


def patch(path: bytes, offset: bytes, text: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.pwrite(descriptor, text, int(offset))
    finally:
        os.close(descriptor)


def reformat(path: bytes) -> str:
    """Read a file and write it back, changed, as a formatter does; a second time changes nothing."""
    content = get(path)
    put(path, content.upper(), os.O_TRUNC)
    return quoted(content)


def copy(source: bytes, target: bytes) -> None:
    write(target, get(source))


def create(path: bytes, text: bytes) -> None:
    put(path, text, os.O_CREAT | os.O_EXCL)


def publish(path: bytes, text: bytes) -> None:
    """Write under a name that no other run has, then rename into place."""
    temporary = path + b"." + os.urandom(4).hex().encode()
    create(temporary, text)
    try:
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)  # else the tree would hold a name that no two runs share
        raise


def scratch(text: bytes) -> str:
    """Make, read and remove a temporary file with a random name."""
    path = os.path.join(os.environb[b"TMPDIR"], b"t" + os.urandom(4).hex().encode())
    create(path, text)
    content = get(path)
    os.unlink(path)
    return quoted(content)


def rename_flags(source: bytes, target: bytes, flags: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, source, -100, target, flags) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def names(path: bytes) -> str:
    return "=" + " ".join(quoted(name)[1:] for name in sorted(os.listdir(path)))


def types(path: bytes) -> str:
    with os.scandir(path) as entries:
        kinds = {one.name: "/" if one.is_dir(follow_symlinks=False) else "@" * one.is_symlink() for one in entries}
    return "=" + " ".join(quoted(name)[1:] + kinds[name] for name in sorted(kinds))


def status(path: bytes) -> str:
    return described(os.stat(path))


def link_status(path: bytes) -> str:
    return described(os.lstat(path))


def stamp(path: bytes, seconds: bytes) -> None:
    os.utime(path, (int(seconds), int(seconds)), follow_symlinks=False)


def truncate(path: bytes, size: bytes) -> None:
    os.truncate(path, int(size))


def set_attribute(path: bytes, name: bytes, value: bytes) -> None:
    os.setxattr(path, b"user." + name, value)


def attribute(path: bytes, name: bytes) -> str:
    return quoted(os.getxattr(path, b"user." + name))


def compared(one: bytes, other: bytes) -> str:
    """Compare modification times as `test -nt` does."""
    times = []
    for path in (one, other):
        try:
            times.append(os.stat(path).st_mtime_ns)
        except FileNotFoundError:
            return "absent"
    return "older" if times[0] < times[1] else "newer" if times[0] > times[1] else "equal"


def variable(name: bytes) -> str:
    value = os.environb.get(name)
    return "unset" if value is None else quoted(value)


def directory() -> str:
    return quoted(os.getcwdb())


def mask() -> str:
    value = os.umask(0)
    os.umask(value)
    return f"{value:03o}"


def stdin(size: bytes) -> str:
    return quoted(os.read(0, int(size)))


def shell(line: bytes) -> str:
    return f"status {os.waitstatus_to_exitcode(os.system(os.fsdecode(line)))}"


def run(path: bytes) -> str:
    child = os.posix_spawn(path, [path], os.environb)
    return f"status {os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}"


def say(text: bytes) -> None:
    os.write(1, text + b"\n")


def warn(text: bytes) -> None:
    os.write(2, text + b"\n")


def flip(path: bytes) -> None:
    """Change content but not size: the last character of the last line."""
    content = get(path)
    place = max(len(content) - 2, 0)
    write(path, content[:place] + bytes(one ^ 1 for one in content[place : place + 1]) + content[place + 1 :])


def quiet_flip(path: bytes) -> None:
    """Change content, then put the times back, as an editor under `touch -r` would."""
    before = os.stat(path)
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def hide(path: bytes) -> None:
    """Move a file aside and leave a symlink to it in its place."""
    os.rename(path, path + b".real")
    os.symlink(os.path.basename(path) + b".real", path)


def wipe(path: bytes) -> str:
    """Remove whatever has this name."""
    if not os.path.lexists(path):
        return "absent"
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return "file"
    for name in os.listdir(path):
        wipe(os.path.join(path, name))
    os.rmdir(path)
    return "directory"


# fmt: off
OPERATIONS: dict[str, Callable[..., object]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        append, attribute, compared, copy, create, directory, flip, hide, link_status, mask, names, patch, publish,
        quiet_flip, read, read_at, read_by_proc, read_mapped, read_nofollow, read_part, reformat, run, say, scratch,
        set_attribute, shell, stamp, status, stdin, truncate, types, variable, warn, wipe, write,
    )
} | {
    "chdir": os.chdir, "mkdir": os.mkdir, "rename": os.rename, "rmdir": os.rmdir, "symlink": os.symlink,
    "touch": os.utime, "unlink": os.unlink,
    "access": lambda path, mode: str(os.access(path, int(mode))),
    "chmod": lambda path, mode: os.chmod(path, int(mode, 8)),
    "link": lambda source, target: os.link(source, target, follow_symlinks=False),
    "readlink": lambda path: quoted(os.readlink(path)),
    "rename-noreplace": lambda source, target: rename_flags(source, target, RENAME_NOREPLACE),
    "exchange": lambda source, target: rename_flags(source, target, RENAME_EXCHANGE),
}
TIMED = {
    "append", "copy", "create", "flip", "patch", "publish", "quiet-flip", "reformat", "run", "shell", "touch",
    "truncate", "write",
}
# fmt: on


def perform(name: str, words: list[str]) -> str:
    """Do one operation; give what it observed, or the name of the error that the kernel returned."""
    try:
        return str(OPERATIONS[name](*(decode(word) for word in words)) or "done")
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    except ValueError:  # an empty file cannot be mapped
        return "EMPTY"


def holds(name: str, words: list[str]) -> bool:
    """Answer a block's condition."""
    if name == "if-exists":
        return os.path.exists(decode(words[0]))
    if name == "if-newer":
        return compared(decode(words[0]), decode(words[1])) == "newer"
    return os.environb.get(decode(words[0])) == decode(words[1])


def after(lines: list[str], start: int) -> tuple[int | None, int]:
    """Find where a block that begins at `start` has its `else`, if any, and its `end`."""
    depth, other = 0, None
    for number in range(start, len(lines)):
        name = lines[number].split(" ", 1)[0]
        depth += (name in BLOCKS) - (name == "end")
        if name == "else" and depth == 1:
            other = number
        if depth == 0:
            return other, number
    raise SystemExit("a block has no end")


def block(program: bytes, lines: list[str], start: int) -> int:
    """Do the block that begins at `start`; give the line after it."""
    name, *words = lines[start].split(" ")
    other, end = after(lines, start)
    body = (start + 1, end if other is None else other)
    if name == "in":
        before = os.getcwd()
        entered = perform("chdir", words)
        os.write(1, f"in {entered}\n".encode())
        if entered == "done":
            execute(program, lines, *body)
            os.chdir(before)
    elif name in ("child", "fork"):
        number = start_child(name, program, lines, body)
        os.write(1, b"%s ended %d\n" % (name.encode(), os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])))
    elif name == "thread":
        in_threads([lambda: execute(program, lines, *body)])
    elif name in ("processes", "threads"):
        at_once(name, lines, body)
    elif holds(name, words):
        execute(program, lines, *body)
    elif other is not None:
        execute(program, lines, other + 1, end)
    return end + 1


def start_child(name: str, program: bytes, lines: list[str], body: tuple[int, int]) -> int:
    """Start a child that does a block: by exec of this interpreter, or by fork alone."""
    number = os.fork()
    if number == 0:
        if name == "child":
            os.execv(sys.executable, [sys.executable, *OPTIONS, sys.argv[0], os.fsdecode(program), *map(str, body)])
        execute(program, lines, *body)
        os._exit(0)
    return number


def in_threads(works: list[Callable[[], object]]) -> None:
    """Do each of several works in a thread of its own, all at one time, and wait for them."""

    def do(work: Callable[[], object], ended: _thread.LockType) -> None:
        try:
            work()
        except Exception as error:  # which would end only the thread
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
        ended.release()

    locks = [_thread.allocate_lock() for _ in works]
    for work, lock in zip(works, locks, strict=True):
        lock.acquire()
        _thread.start_new_thread(do, (work, lock))
    for lock in locks:
        lock.acquire()


def in_processes(works: list[Callable[[], object]]) -> None:
    """Do each of several works in a child of its own, all at one time, and wait for them."""
    children = []
    for work in works:
        child = os.fork()
        if child == 0:
            work()
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def at_once(name: str, lines: list[str], body: tuple[int, int]) -> None:
    """Do the lines of a block at one time, and tell what each observed in their order."""
    done = lines[slice(*body)]
    pipes = [os.pipe() for _ in done]

    def work(line: str, end: int) -> Callable[[], object]:
        name, *words = line.split(" ")
        return lambda: os.write(end, perform(name, words).encode()[:PIPED])

    works = [work(line, end) for line, (_, end) in zip(done, pipes, strict=True)]
    if lines[0] == "ticking":
        tick()
    (in_threads if name == "threads" else in_processes)(works)
    for line, (start, end) in zip(done, pipes, strict=True):
        os.write(1, f"{line}: {os.read(start, PIPED).decode()}\n".encode())
        os.close(start)
        os.close(end)


def execute(program: bytes, lines: list[str], start: int, stop: int) -> None:
    """Do the lines of a program from `start` up to `stop`."""
    ticking = lines[0] == "ticking"
    while start < stop:
        name, *words = lines[start].split(" ")
        if name in BLOCKS:
            start = block(program, lines, start)
            continue
        if name == "exit":
            os._exit(int(words[0]))
        if ticking and name in TIMED:
            tick()
        if name not in ("ticking", ""):
            os.write(1, f"{lines[start]}: {perform(name, words)}\n".encode())
        start += 1


def main() -> None:
    """Run the program in the file that `sys.argv` names, whole or from one line up to another."""
    try:
        program = os.fsencode(os.path.abspath(sys.argv[1]))
        lines = get(program).decode().split("\n")
        bounds = [int(number) for number in sys.argv[2:]] or [0, len(lines)]
        execute(program, lines, *bounds)
    except Exception as error:  # whose trace would tell how this was started
        sys.exit(repr(error))


if __name__ == "__main__":
    main()
