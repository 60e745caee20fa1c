# SPDX-License-Identifier: Apache-2.0
"""Looks that the command's own processes tell, without a stop: the same is told, and the command is the same."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hatch_build import compile_tracer
from pytrace_exec.tracer.events import Call, Fd, Unparsed
from pytrace_exec.tracer.native import PROGRAM
from pytrace_exec.tracer.native_stream import StreamParser
from tests.support.compiled import compiled

pytestmark = [
    pytest.mark.native,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="needs x86-64: elsewhere every look stops"),
]

MAPPED = b"memfd:pytrace"


class Told:
    """A command's events, what it printed, and its status."""

    def __init__(self, events: list[object], printed: bytes, status: int) -> None:
        self.events = events
        self.printed = printed
        self.status = status

    @property
    def problems(self) -> list[str]:
        """What the tracer or the parser could not make out."""
        return [f"{event.why}: {event.text!r}" for event in self.events if isinstance(event, Unparsed)]

    def paths(self, *names: str) -> list[bytes]:
        """The paths that these calls named."""
        calls = (event for event in self.events if isinstance(event, Call) and event.name in names)
        return [next(arg for arg in call.args if isinstance(arg, bytes)) for call in calls]


def told(
    folder: Path,
    *command: str | Path,
    inside: bool = True,
    around: Path | None = None,
    timeout: int = 60,
    tracer: str | bytes = PROGRAM,
) -> Told:
    """Run a command under the tracer; `around` is a program that runs another, here the tracer."""
    parser = StreamParser()
    reader, writer = os.pipe2(os.O_CLOEXEC)
    options = ["--inside"] if inside else []
    log = f"/proc/{os.getpid()}/fd/{writer}"
    words = [os.fspath(word) for word in command]
    outer = [os.fspath(around)] if around else []
    with subprocess.Popen(
        [*outer, tracer, *options, log, words[0], *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as run:
        os.set_blocking(reader, True)
        assert run.stdout is not None
        while not parser.complete and (data := os.read(reader, 1 << 16)):
            parser.feed(data)
        os.close(reader)
        os.close(writer)
        printed, _ = run.communicate(timeout=timeout)
    parser.finish()
    return Told(list(parser.events), printed, run.returncode)


def is_told_inside(folder: Path, *command: str | Path) -> bool:
    """Whether a command that prints its mappings has the memory mapped."""
    return MAPPED in told(folder, *command).printed


def test_a_program_is_entered_unless_every_look_is_to_stop(tmp_path: Path) -> None:
    assert is_told_inside(tmp_path, "/bin/cat", "/proc/self/maps")
    assert MAPPED not in told(tmp_path, "/bin/cat", "/proc/self/maps", inside=False).printed


@pytest.mark.compiler
def test_a_compiler_that_adds_calls_to_all_code_makes_a_tracer_that_leaves_programs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CFLAGS", "-finstrument-functions")
    tracer = tmp_path / "tracer"
    compile_tracer(Path(__file__).parents[3] / "plugin/native", tracer)
    seen = told(tmp_path, "/bin/cat", "/proc/self/maps", tracer=str(tracer))
    assert (seen.status, seen.problems) == (0, [])
    assert MAPPED not in seen.printed
    assert b"/proc/self/maps" in seen.paths("openat")


@pytest.mark.parametrize(("limit", "value", "entered"), [("as", 1 << 30, False), ("nofile", 100, True)])
def test_a_program_whose_memory_is_limited_is_not_entered(
    tmp_path: Path, limit: str, value: int, entered: bool
) -> None:
    """The limit is the program's alone: sanitizers could not work in a tracer that had it."""
    assert is_told_inside(tmp_path, "/usr/bin/prlimit", f"--{limit}={value}", "/bin/cat", "/proc/self/maps") == entered


MAPS = """
#include <stdio.h>
#include <unistd.h>
int main(void)
{
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps)) fputs(line, stdout);
    printf("looked %d %d\\n", access("there", F_OK), access("not there", F_OK));
    return 0;
}
"""


@pytest.mark.compiler
def test_a_program_that_lies_where_the_code_would_begins_as_if_nothing_were(tmp_path: Path) -> None:
    program = compiled(tmp_path, MAPS, "-no-pie", "-Wl,-Ttext-segment=0x70000000")
    (tmp_path / "there").touch()
    seen = told(tmp_path, program)
    assert seen.printed.endswith(b"looked 0 -1\n")
    assert (seen.status, seen.problems) == (0, [])
    assert MAPPED + b" (deleted)\n70" not in seen.printed
    assert {b"there", b"not there"} <= set(seen.paths("access"))


@pytest.mark.compiler
def test_a_static_program_stops(tmp_path: Path) -> None:
    program = compiled(tmp_path, MAPS, "-static")
    (tmp_path / "there").touch()
    seen = told(tmp_path, program)
    assert seen.printed.endswith(b"looked 0 -1\n")
    assert MAPPED not in seen.printed
    assert {b"there", b"not there"} <= set(seen.paths("access"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root, to become somebody else")
def test_who_may_not_open_the_memory_is_not_entered(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    seen = told(Path("/"), "/usr/bin/setpriv", "--reuid=65534", "--clear-groups", "/bin/cat", "/proc/self/maps")
    assert (seen.status, seen.problems) == (0, [])
    assert MAPPED not in seen.printed
    assert b"/proc/self/maps" in seen.paths("openat")


MANY = 20000


def test_more_looks_than_there_is_room_for_are_all_told(tmp_path: Path) -> None:
    program = f"import os\nfor n in range({MANY}):\n    os.path.exists(f'no-{{n}}')"
    seen = told(tmp_path, sys.executable, "-ISc", program)
    assert seen.problems == []
    names = [path for path in seen.paths("stat", "newfstatat") if path.startswith(b"no-")]
    assert names == [b"no-%d" % number for number in range(MANY)]


def test_a_path_that_does_not_fit_and_a_large_directory_are_told(tmp_path: Path) -> None:
    long = "/".join(["x" * 200] * 4)
    (tmp_path / long).mkdir(parents=True)
    (tmp_path / long / "file").write_text("here")
    many = tmp_path / "many"
    many.mkdir()
    names = {f"{number:04}-{'y' * 200}" for number in range(700)}
    for name in names:
        (many / name).touch()
    program = f"import os\nprint(os.stat('{long}/file').st_size, len(os.listdir('many')))\nopen('{long}/file').close()"
    inside, stopped = (told(tmp_path, sys.executable, "-ISc", program, inside=inside) for inside in (True, False))
    assert inside.printed == stopped.printed == b"4 700\n"
    assert inside.problems == []
    for seen in (inside, stopped):
        assert {f"{long}/file".encode()} <= {*seen.paths("stat", "newfstatat")} & {*seen.paths("openat")}
    listed = [event for event in inside.events if isinstance(event, Call) and event.name == "getdents64"]
    assert [call.args[1] for call in listed] == [
        event.args[1] for event in stopped.events if isinstance(event, Call) and event.name == "getdents64"
    ]


def test_each_name_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("the same")
    (tmp_path / "other").hardlink_to(tmp_path / "one")
    looked = "os.fstat(os.open(name, os.O_RDONLY))"
    program = f"import os\nfor name in ('one', 'other'):\n    {looked}\n    os.mkdir(name + '-seen')"
    seen = told(tmp_path, sys.executable, "-ISc", program)
    calls = [event for event in seen.events if isinstance(event, Call) and event.name in ("fstat", "newfstatat")]
    asked = {call.args[0].path for call in calls if isinstance(call.args[0], Fd)}
    assert {os.fsencode(tmp_path / name) for name in ("one", "other")} <= asked


SIGNALS = """
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
static sigjmp_buf away;
static volatile sig_atomic_t jumps, handled;
static void on_alarm(int number)
{
    struct stat status;
    (void)number;
    handled++;
    if (stat("/no/such/place", &status) == 0)
        jumps = -1000000;
    if (handled % 7 == 0) {
        jumps++;
        siglongjmp(away, 1);
    }
}
int main(void)
{
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_NODEFER};
    char path[64];
    int wrong = 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    for (volatile int i = 0; handled < 500 && i < 100000000; i++) {
        struct stat status;
        memset(path, 0, sizeof path);
        snprintf(path, sizeof path, i % 2 ? "/usr/bin/env" : "/usr/bin/none-%d", i);
        if (sigsetjmp(away, 1) == 0 && (stat(path, &status) == 0) != i % 2)
            wrong++;
    }
    setitimer(ITIMER_REAL, &never, NULL);
    printf("%d wrong, jumped %s\\n", wrong, jumps > 50 ? "often" : "seldom");
    return 0;
}
"""


@pytest.mark.compiler
def test_signals_may_come_at_any_moment_and_leave_for_good(tmp_path: Path) -> None:
    seen = told(tmp_path, compiled(tmp_path, SIGNALS), timeout=120)
    assert (seen.printed, seen.status, seen.problems) == (b"0 wrong, jumped often\n", 0, [])
    assert b"/usr/bin/env" in seen.paths("stat", "newfstatat")


INTERRUPTED = """
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
static void on_alarm(int number) { (void)number; }
int main(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    mkfifo("fifo", 0600);
    alarm(1);
    int got = open("fifo", O_RDONLY);
    printf("%d %d\\n", got, got < 0 && errno == EINTR);
    return 0;
}
"""


@pytest.mark.compiler
def test_an_open_that_a_signal_interrupts_is_not_made_again(tmp_path: Path) -> None:
    seen = told(tmp_path, compiled(tmp_path, INTERRUPTED))
    assert (seen.printed, seen.status, seen.problems) == (b"-1 1\n", 0, [])
    assert b"fifo" in seen.paths("openat")


CONFINED = """
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_gettid, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_readlink, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog filter = {sizeof steps / sizeof *steps, steps};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (argc > 1 ? syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter)
                 : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
        return 1;
    int file = open("/etc/passwd", O_RDONLY);
    printf("%d %d\\n", file > 0, access("/etc/group", F_OK));
    return 0;
}
"""


@pytest.mark.compiler
@pytest.mark.parametrize("by", ["prctl", "seccomp"])
def test_who_restricts_its_calls_is_not_told_of_by_others(tmp_path: Path, by: str) -> None:
    seen = told(tmp_path, compiled(tmp_path, CONFINED), *(["call"] if by == "seccomp" else []))
    assert (seen.printed, seen.status) == (b"1 0\n", 0)
    assert b"/etc/passwd" in seen.paths("openat")
    assert b"/etc/group" in seen.paths("access")


KEPT = """
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* Calls `access` with every register that a function keeps set to a value of its own; returns how many it has lost. */
static long lost(const char *path, long *result)
{
    long count;
    __asm__ volatile("push %%rbx\\n push %%rbp\\n mov $0x1111, %%rbx\\n mov $0x2222, %%rbp\\n mov $0x3333, %%r12\\n"
                     "mov $0x4444, %%r13\\n xor %%esi, %%esi\\n mov %%rsp, %%r14\\n and $-16, %%rsp\\n"
                     "call *%%rax\\n mov %%r14, %%rsp\\n xor %%ecx, %%ecx\\n"
                     "cmp $0x1111, %%rbx\\n setne %%cl\\n mov %%rcx, %%rdx\\n xor %%ecx, %%ecx\\n"
                     "cmp $0x2222, %%rbp\\n setne %%cl\\n"
                     "add %%rcx, %%rdx\\n cmp $0x3333, %%r12\\n setne %%cl\\n add %%rcx, %%rdx\\n xor %%ecx, %%ecx\\n"
                     "cmp $0x4444, %%r13\\n setne %%cl\\n add %%rcx, %%rdx\\n pop %%rbp\\n pop %%rbx\\n"
                     : "=a"(*result), "=&d"(count), "+D"(path)
                     : "0"(access)
                     : "rcx", "rsi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "memory", "cc",
                       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
    return count;
}
int main(void)
{
    long result, sum = 0;
    for (int i = 0; i < 1000; i++) {
        sum += lost(i % 2 ? "/etc/passwd" : "/no/such", &result);
        sum += (int)result != (i % 2 ? 0 : -1);
    }
    printf("%ld lost\\n", sum);
    return 0;
}
"""


@pytest.mark.compiler
def test_registers_are_kept(tmp_path: Path) -> None:
    seen = told(tmp_path, compiled(tmp_path, KEPT))
    assert (seen.printed, seen.status) == (b"0 lost\n", 0)


THREADS = """
import os, threading
def look(number):
    for turn in range(200):
        os.path.exists(f"thread-{number}-{turn}")
threads = [threading.Thread(target=look, args=(number,)) for number in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
if os.fork() == 0:
    os.path.exists("child")
    os._exit(0)
os.wait()
"""


def test_threads_and_what_they_fork_tell_all(tmp_path: Path) -> None:
    seen = told(tmp_path, sys.executable, "-ISc", THREADS)
    names = set(seen.paths("stat", "newfstatat"))
    assert {b"thread-%d-%d" % (number, turn) for number in range(8) for turn in range(200)} | {b"child"} <= names
    assert (seen.status, seen.problems) == (0, [])


RACE = """
import os, sys
if os.fork() == 0:
    for turn in range(3000):
        with open("new", "w") as file:
            file.write("x" * (turn % 7))
        os.rename("new", "shared")
    os._exit(0)
sizes = set()
while os.waitpid(-1, os.WNOHANG) == (0, 0):
    for _ in range(20):
        try:
            descriptor = os.open("shared", os.O_RDONLY)
        except FileNotFoundError:
            continue
        sizes.add(os.fstat(descriptor).st_size)
        os.close(descriptor)
print(sizes <= set(range(7)) and len(sizes) > 1)
"""


def test_looks_between_changes_are_told_in_an_order_that_can_be(tmp_path: Path) -> None:
    seen = told(tmp_path, sys.executable, "-ISc", RACE, timeout=120)
    assert (seen.printed, seen.status) == (b"True\n", 0)
    assert set(seen.problems) <= {"the tracer could not follow: b'a file was replaced while it was opened'"}
    made = False
    for event in seen.events:
        if isinstance(event, Call) and event.name == "rename":
            made = True
        if isinstance(event, Call) and event.name == "openat" and b"shared" in event.args:
            # While the first rename is under way, the file may be found before that is told: it is no input then.
            assert event.error is None or not made


TWICE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    void *other = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
    int (*others)(const char *, int) = (int (*)(const char *, int))dlsym(other, "access");
    int file = open(argv[1], O_RDONLY);
    char *own = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, file, 0);
    own[0] = 1;
    mmap(NULL, 1 << 20, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
    errno = 0;
    int result = access("/no/such", F_OK);
    printf("%d %s\\n", result, strerror(errno));
    errno = 0;
    printf("%d %d\\n", others("/no/such/either", F_OK), errno);
    return argc == 0;
}
"""


@pytest.mark.compiler
def test_a_c_library_may_be_mapped_more_than_once(tmp_path: Path) -> None:
    program = compiled(tmp_path, TWICE)
    maps = subprocess.run(["/bin/cat", "/proc/self/maps"], stdout=subprocess.PIPE, check=True, text=True).stdout
    library = next(line.split()[-1] for line in maps.splitlines() if "libc" in line)
    seen = told(tmp_path, program, library)
    assert (seen.printed, seen.status, seen.problems) == (b"-1 No such file or directory\n-1 0\n", 0, [])
    assert {b"/no/such", b"/no/such/either"} <= set(seen.paths("access"))


IN_PLACE = """
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int main(void)
{
    char path[4096] = "the-link";
    union { char path[64]; struct stat status; } both = {"the-file"};
    long length = readlink(path, path, sizeof path);
    printf("%.*s %d\\n", (int)length, path, stat(both.path, &both.status));
    return 0;
}
"""


@pytest.mark.compiler
def test_an_answer_may_be_written_over_its_path(tmp_path: Path) -> None:
    (tmp_path / "the-link").symlink_to("the-target")
    (tmp_path / "the-file").touch()
    seen = told(tmp_path, compiled(tmp_path, IN_PLACE))
    assert (seen.printed, seen.status) == (b"the-target 0\n", 0)
    assert b"the-link" in seen.paths("readlink")
    assert b"the-file" in seen.paths("stat", "newfstatat")


DATA = """
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
static volatile char data[1 << 24];
static void *run(void *nothing) { return nothing; }
int main(void)
{
    pthread_t thread;
    long changed = 0;
    pthread_create(&thread, NULL, run, NULL);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < sizeof data; i++)
        changed += data[i] != 0;
    printf("%ld changed, next %d\\n", changed, open("/dev/null", O_RDONLY));
    return 0;
}
"""


@pytest.mark.compiler
@pytest.mark.parametrize("begins", ["0x6f800000", "0x70001000"], ids=["over both", "over the code"])
def test_a_program_that_lies_there_is_left_with_all_that_is_its_own(tmp_path: Path, begins: str) -> None:
    program = compiled(tmp_path, DATA, "-no-pie", "-pthread", f"-Wl,-Ttext-segment={begins}")
    seen = told(tmp_path, program)
    assert (seen.printed, seen.status) == (b"0 changed, next 3\n", 0)


CANCELLED = """
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
static void at_end(int *number) { printf("cleaned up %d\\n", *number); }
static void *run(void *nothing)
{
    int number __attribute__((cleanup(at_end))) = 7;
    number += open("fifo", O_RDONLY) > 1000;
    return nothing;
}
int main(void)
{
    pthread_t thread;
    void *result;
    mkfifo("fifo", 0600);
    pthread_create(&thread, NULL, run, NULL);
    usleep(300000);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    printf("%d\\n", result == PTHREAD_CANCELED);
    return 0;
}
"""


@pytest.mark.compiler
def test_a_thread_that_is_cancelled_in_a_look_is_unwound(tmp_path: Path) -> None:
    seen = told(tmp_path, compiled(tmp_path, CANCELLED, "-pthread", "-fexceptions"))
    assert (seen.printed, seen.status) == (b"cleaned up 7\n1\n", 0)


ANSWERED = """
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 600, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof steps / sizeof *steps, steps};
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        return argc;
    execv(argv[1], argv + 1);
    return 1;
}
"""


@pytest.mark.compiler
def test_the_tracer_hears_of_looks_in_a_container_that_answers_calls_itself(tmp_path: Path) -> None:
    container = compiled(tmp_path, ANSWERED)
    (tmp_path / "lies").mkdir()
    lies_there = compiled(tmp_path / "lies", MAPS, "-no-pie", "-Wl,-Ttext-segment=0x70000000")
    long = "x/" * 300 + "none"
    seen = told(tmp_path, "/bin/cat", long, around=container)
    assert long.encode() in seen.paths("openat")
    seen = told(tmp_path, lies_there, around=container)
    assert (seen.printed.endswith(b"looked -1 -1\n"), seen.status) == (True, 0)


LED = """
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
static int is_led(void) { return memmem((char *)(void *)access, 64, "\\xff\\x24\\x25", 3) != NULL; }
static int say(void *number) { return 2 * (long)number + is_led(); }
int main(int argc, char **argv)
{
    char *stack = malloc(1 << 16);
    int flags = argc > 1 ? atoi(argv[1]) : 0, status = 0;
    printf("%d", is_led());
    fflush(stdout);
    if (flags != 0)
        waitpid(clone(say, stack + (1 << 16), flags | SIGCHLD, (void *)1L), &status, 0);
    if (flags != 0)
        printf(" %d %d", WEXITSTATUS(status) - 2, is_led());
    return 0;
}
"""


@pytest.mark.compiler
@pytest.mark.parametrize("flags", [0x200, 0x400, 0x100], ids=["working directory", "descriptors", "memory"])
def test_processes_that_share_what_a_look_means_stop(tmp_path: Path, flags: int) -> None:
    seen = told(tmp_path, compiled(tmp_path, LED), str(flags))
    assert (seen.printed, seen.status, seen.problems) == (b"1 0 0", 0, [])


@pytest.mark.compiler
def test_programs_without_a_loader_leave_room_for_libraries(tmp_path: Path) -> None:
    program = compiled(tmp_path, LED)
    (tmp_path / "other").mkdir()
    alone = compiled(tmp_path / "other", "int main(void) { return 0; }", "-static-pie")
    maps = subprocess.run(["/bin/cat", "/proc/self/maps"], stdout=subprocess.PIPE, check=True, text=True).stdout
    library = next(line.split()[-1] for line in maps.splitlines() if "libc.so" in line or "libc-2" in line)
    shutil.copy(library, tmp_path / Path(library).name)
    script = f"for i in $(seq 80); do {alone}; done; LD_LIBRARY_PATH={tmp_path} {program}"
    assert told(tmp_path, "/bin/sh", "-c", script).printed == b"1"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root, to mount")
def test_a_file_that_is_reached_by_two_mounts_has_the_name_by_which_it_was_opened(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "one/file").write_text("the same")
    mounting = tmp_path / "mounting"
    mounting.write_text(f'#!/bin/sh\nmount --bind {tmp_path}/one {tmp_path}/other && exec "$@"\n')
    mounting.chmod(0o755)
    around = tmp_path / "around"
    around.write_text(f'#!/bin/sh\nexec unshare -m {mounting} "$@"\n')
    around.chmod(0o755)
    looked = "os.fstat(os.open(f'{name}/file', os.O_RDONLY)); os.mkdir(name + '-seen')"
    seen = told(
        tmp_path, sys.executable, "-ISc", f"import os\nfor name in ('one', 'other'):\n    {looked}", around=around
    )
    opened = [
        event.args[0].path
        for event in seen.events
        if isinstance(event, Call) and event.name in ("fstat", "newfstatat") and isinstance(event.args[0], Fd)
    ]
    assert (seen.status, seen.problems) == (0, [])
    assert opened[-2:] == [os.fsencode(tmp_path / "one/file"), os.fsencode(tmp_path / "other/file")]
