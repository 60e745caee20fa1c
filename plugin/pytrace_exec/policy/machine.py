# SPDX-License-Identifier: Apache-2.0
"""What a run may read of the machine (DESIGN 4.1, fact): rows by program and path.

Verdicts: `ignore` what runtimes read only to tune themselves or what says nothing; `start` the same, until the program
has asked for its own path, which a runtime does before it runs what it was given; `once` the same, the first time that
the program opens it, which is the runtime itself; `key` what is stable on a machine (its content becomes a fact);
everything else under `/proc`, `/sys` and `/dev` is a reason not to store.
"""

from __future__ import annotations

import os
import re
from itertools import chain

from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.observe.comparisons import scripts_from_elsewhere
from pytrace_exec.observe.variables import arguments, read_texts
from pytrace_exec.policy import comparing
from pytrace_exec.policy.globs import Globs
from pytrace_exec.tracer.events import Fd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.observe.processes import Program, Task
    from pytrace_exec.observe.run import Run
    from pytrace_exec.tracer.events import Call

OPENED = """
ld          /proc/meminfo                           ignore
ld.*        /proc/meminfo                           ignore
cc1*        /proc/meminfo                           ignore
make        /proc/loadavg                           ignore
bash        /proc/meminfo                           ignore
xargs       /proc/self/fd                           ignore
grep        /proc/self/maps                         ignore
egrep       /proc/self/maps                         ignore
fgrep       /proc/self/maps                         ignore
diff        /proc/self/maps                         ignore
cmp         /proc/self/maps                         ignore
m4          /proc/self/maps                         ignore
bison       /proc/self/maps                         ignore
gawk        /proc/self/maps                         ignore
go          /proc/self/cgroup                       ignore
go          /proc/self/mountinfo                    ignore
go          /sys/fs/cgroup/*                        ignore
*/pkg/tool/* /proc/self/cgroup                      ignore
*/pkg/tool/* /proc/self/mountinfo                   ignore
*/pkg/tool/* /sys/fs/cgroup/*                       ignore
cargo       /proc/self/cgroup                       ignore
cargo       /sys/fs/cgroup/*                        ignore
rustup      /proc/self/cgroup                       ignore
rustup      /sys/fs/cgroup/*                        ignore
rustc       /proc/self/statm                        ignore
rustdoc     /proc/self/statm                        ignore
node        /proc/meminfo                           start
node        /proc/self/cgroup                       start
node        /proc/self/maps                         start
node        /sys/fs/cgroup/*                        start
java        /proc/stat                              once
java        /proc/meminfo                           once
java        /proc/cpuinfo                           once
java        /proc/net/if_inet6                      once
java        /proc/self/coredump_filter              ignore
java        /sys/kernel/mm/hugepages*               ignore
java        /sys/fs/cgroup/*memory.stat             ignore
java        /sys/fs/cgroup/*memory.current          ignore
java        /sys/fs/cgroup/*memory.usage_in_bytes   ignore
java        /sys/fs/cgroup/*memory.use_hierarchy    ignore
javac       /proc/*                                 ignore
javac       /sys/*                                  ignore
jar         /proc/*                                 ignore
jar         /sys/*                                  ignore
javadoc     /proc/*                                 ignore
javadoc     /sys/*                                  ignore
*           /proc/filesystems                       key
*           /proc/cgroups                           key
*           /proc/self/cgroup                       key
*           /proc/self/mountinfo                    key
*           /proc/sys/vm/overcommit_memory          key
*           /proc/sys/kernel/osrelease              key
*           /proc/sys/kernel/ngroups_max            key
*           /proc/sys/kernel/cap_last_cap           key
*           /proc/sys/kernel/random/*               ignore
*           /proc/sys/fs/pipe-max-size              key
*           /sys/devices/system/cpu/online          key
*           /sys/devices/system/cpu/possible        key
*           /sys/devices/system/cpu                 key
*           /sys/kernel/mm/transparent_hugepage/*   key
*           /sys/fs/cgroup/*cpu.max                 key
*           /sys/fs/cgroup/*cpu.weight              key
*           /sys/fs/cgroup/*cpu.shares              key
*           /sys/fs/cgroup/*cpu.cfs_quota_us        key
*           /sys/fs/cgroup/*cpu.cfs_period_us       key
*           /sys/fs/cgroup/*cpuset.cpus             key
*           /sys/fs/cgroup/*cpuset.cpus.effective   key
*           /sys/fs/cgroup/*memory.max              key
*           /sys/fs/cgroup/*memory.high             key
*           /sys/fs/cgroup/*limit_in_bytes          key
*           /sys/fs/cgroup/*memory.swap.max         key
*           /dev/null                               ignore
*           /dev/zero                               ignore
*           /dev/full                               ignore
*           /dev/random                             ignore
*           /dev/urandom                            ignore
"""
"""Program (its name, or with a `/` its whole real path), path, verdict; the first row that fits counts."""

LOOKED = """
*           /proc/self/exe                          ignore
*           /proc/thread-self/*                     refuse
*           /proc                                   ignore
*           /proc/self                              ignore
*           /proc/self/fd                           ignore
*           /sys                                    ignore
*           /dev                                    ignore
*           /sys/fs/selinux                         key
*           /dev/null                               ignore
*           /dev/zero                               ignore
*           /dev/full                               ignore
*           /dev/random                             ignore
*           /dev/urandom                            ignore
*           /dev/tty                                ignore
*           /dev/console                            ignore
*           /dev/pts                                ignore
*           /dev/pts/*                              ignore
*           /dev/shm                                ignore
*           /dev/stdin                              ignore
*           /dev/stdout                             ignore
*           /dev/stderr                             ignore
"""

FILE_SYSTEM_STATE = "df"
"""Programs for which the state of a file system is the result; others ask for its type to tune themselves."""

OWN_MAPPINGS = b"/proc/self/maps"
"""What the C library reads, and then asks for the limit of the stack, to tell a program where its first thread's stack
lies: that is ignored of any program."""

TELL_STACK = "sh dash bash zsh ksh mksh busybox prlimit getconf xargs find python python[23] python[23].[0-9]*"
"""Programs to which the limit of the stack is a value, when they ask for it after the C library did as they started;
others ask for it whenever they start a thread."""

OPENS_WHAT_IT_IS_TOLD = "bash make xargs grep egrep fgrep diff cmp m4 gawk"
"""Programs of `OPENED` that may be told to open the same path that they open for themselves."""

SIZED_BY_MEMORY = "java"
"""Programs that size themselves by the machine's memory as they start, and tell whoever asks: its size is a fact."""

ASK_FOR_MEMORY = "getconf python python[23] python[23].[0-9]* perl perl5* ruby ruby[0-9]*"
"""Programs to which the size of memory is a value where their arguments or scripts say so; the call itself is one that
the C library makes whenever it sorts."""

MEMORY = b"PHYS_PAGES"
"""What says so."""

TERMINAL_QUESTIONS = frozenset({"TCGETS", "TCGETS2", "TIOCGWINSZ"})
HARMLESS_REQUESTS = frozenset(
    {
        "FICLONE",
        "FICLONERANGE",
        "FIDEDUPERANGE",
        "FIOCLEX",
        "FIONCLEX",
        "FIONBIO",
        "FIOASYNC",
        "FIONREAD",
        "TIOCGPGRP",
        "TIOCSPGRP",
        "TCSETS",
        "TCSETSW",
        "TCSETSF",
        "TIOCSWINSZ",
        "TIOCGPTN",
        "TIOCSPTLCK",
        "TIOCSCTTY",
    }
)
ATTRIBUTE_REQUESTS = frozenset({"FS_IOC_SETFLAGS", "FS_IOC_FSSETXATTR"})
NO_SUCH_REQUEST = frozenset({"ENOTTY", "EINVAL", "EBADF", "EOPNOTSUPP"})

_DESCRIPTOR = rb"/(?:proc/(?:self|thread-self|\d+)/fd|dev/fd)/(\d+)"
_PROCESS = rb"/proc/\d+(/|$)"
_OWN_PATH = b"/proc/self/exe"
_STANDARD = {b"/dev/stdin": 0, b"/dev/stdout": 1, b"/dev/stderr": 2}
_FILE_SYSTEM_STATE = frozenset(FILE_SYSTEM_STATE.split())
_TELL_STACK = Globs(TELL_STACK.split())
_OPENS_WHAT_IT_IS_TOLD = frozenset(OPENS_WHAT_IT_IS_TOLD.split())
_SIZED_BY_MEMORY = frozenset(SIZED_BY_MEMORY.split())
_ASK_FOR_MEMORY = Globs(ASK_FOR_MEMORY.split())


def _rows(table: str) -> list[tuple[Globs, Globs, str]]:
    rows = (line.split() for line in table.strip().splitlines())
    return [(Globs([program]), Globs([path]), verdict) for program, path, verdict in rows]


_OPENED, _LOOKED = _rows(OPENED), _rows(LOOKED)


def _verdict(rows: list[tuple[Globs, Globs, str]], program: Program, path: bytes) -> str:
    """What a table says; of one of the user's own programs, the stricter of what it says of its name and of any."""
    text = path.decode("utf-8", "surrogateescape")
    verdicts = {_first(rows, name, text) for name in ((program.name, ""), (program.known_as, program.known_path))}
    return next(verdict for verdict in ("refuse", "key", "once", "start", "ignore") if verdict in verdicts)


def _first(rows: list[tuple[Globs, Globs, str]], names: tuple[str, str], path: str) -> str:
    fitting = (verdict for programs, paths, verdict in rows if path in paths and any(n in programs for n in names))
    return next(fitting, "refuse")


def looked(run: Run, task: Task, call: Call, path: bytes) -> None:
    """A path of `/proc`, `/sys` or `/dev` was looked at without being opened."""
    match = re.fullmatch(_DESCRIPTOR, path)
    number = int(match.group(1)) if match else _STANDARD.get(path)
    if number is not None and number <= 2:
        run.note_plain(call, "stream", f"kind {number}")
        return
    task.program.begun = task.program.begun or path == _OWN_PATH
    verdict = _verdict(_LOOKED, task.program, path)
    if verdict == "key" or call.error in ("ENOENT", "ENOTDIR"):
        _note_absent(run, call, path)
    elif verdict == "refuse" and _verdict(_OPENED, task.program, path) == "refuse":
        run.refuse("machine", path, call)


def _note_absent(run: Run, call: Call, path: bytes) -> None:
    """Note how a look ended, but at a process in a PID namespace of the run's own: which there are is its own doing."""
    if not (run.setting.own_pids and re.match(_PROCESS, path)):
        run.note(call, "error", "", path)


def opened(run: Run, task: Task, call: Call, path: bytes, writes: bool) -> None:
    """A path of `/proc`, `/sys` or `/dev` was opened, and it is nothing that lies in the tree."""
    if call.error in ("ENOENT", "ENOTDIR", "ENXIO"):
        _note_absent(run, call, path)
        return
    verdict = _verdict(_OPENED, task.program, path)
    if path == b"/dev/tty" or path.startswith(b"/dev/pts/"):
        run.refuse("terminal_read", path, call)
    elif verdict == "key" and not writes:
        run.note(call, "fact", "", path)
    elif path == OWN_MAPPINGS and verdict == "refuse" and call.pid not in run.stack_questions:
        run.stack_questions[call.pid] = call
    elif verdict == "once" and path not in task.program.opened:
        task.program.opened.add(path)
    elif verdict != "ignore" and (verdict != "start" or task.program.begun):
        run.refuse("device" if path.startswith(b"/dev/") else "machine", path, call)
    elif path.startswith(b"/proc/") and task.program.name in _OPENS_WHAT_IT_IS_TOLD:
        run.opened_unasked.setdefault(path, call)


def asked_for_the_stack(run: Run, task: Task, call: Call) -> None:
    """The limit of the stack was asked for: that is what the thread had opened its mappings for.

    A program's first question is the C library's.
    """
    program = task.program
    if run.stack_questions.pop(call.pid, None) is None and program.asked_for_stack and program.name in _TELL_STACK:
        run.note_plain(call, "fact", "limit RLIMIT_STACK")
    program.asked_for_stack = True


def answer_for_purposes(run: Run) -> None:
    """Count what programs take from the machine as they start; refuse what was read for another purpose than that.

    Words show the purpose.
    """
    if any(program.name in _SIZED_BY_MEMORY for program in run.processes.programs):
        run.subjects.setdefault(Subject("fact", "memory"), None)
    for call in run.stack_questions.values():
        run.refuse("machine", OWN_MAPPINGS, call)
    asks = any(program.name in _ASK_FOR_MEMORY for program in run.processes.programs)
    if not asks and not run.opened_unasked:
        return
    for text in filter(comparing.is_script, chain(arguments(run), read_texts(run), scripts_from_elsewhere(run))):
        if asks and MEMORY in text:
            run.refuse("machine", None)
        if b"/proc/" in text:
            for path, call in run.opened_unasked.items():
                if re.search(re.escape(os.path.basename(path)) + rb"(?![\w-])", text):
                    run.refuse("machine", path, call)


def descriptor(run: Run, task: Task, call: Call, fd: Fd) -> None:
    """The status of a descriptor was asked that leads to no file of the tree: of the caller's, its kind is a fact."""
    standing = run.standing_at(fd)
    if standing is None:
        return
    number, what = standing
    if number > 2:
        run.refuse("inherited_descriptor", fd.path, call)
        return
    run.note_plain(call, "stream", f"kind {number}")
    if number == 0 and what.kind == "file":
        run.stdin_read = True


def listed(run: Run, task: Task, call: Call, fd: Fd) -> None:
    """A directory of `/proc`, `/sys` or `/dev` was read."""
    if fd.path is None or fd.path.startswith((b"/proc/self/fd", b"/dev/fd")):
        return
    verdict = _verdict(_OPENED, task.program, fd.path)
    if verdict == "key":
        run.subjects.setdefault(Subject("listing", "", fd.path), call)
    elif verdict != "ignore" and not fd.path.endswith(b"/fd"):
        run.refuse("machine", fd.path, call)


def asked_file_system(run: Run, task: Task, call: Call) -> None:
    """The state of a file system was asked."""
    if task.program.name in _FILE_SYSTEM_STATE:
        run.refuse("machine", None, call)


def controlled(run: Run, task: Task, call: Call, fd: Fd, requests: frozenset[str]) -> None:
    """A request was made of a descriptor."""
    if requests & TERMINAL_QUESTIONS:
        descriptor(run, task, call, fd)
    elif requests & ATTRIBUTE_REQUESTS and call.error is None:
        run.refuse("attributes", fd.path, call)
    elif not requests & HARMLESS_REQUESTS and call.error not in NO_SUCH_REQUEST:
        run.refuse("machine", fd.path, call)
