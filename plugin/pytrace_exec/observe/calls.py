# SPDX-License-Identifier: Apache-2.0
"""The table of system calls: what each does, and which argument is what.

A row is a name, an effect (a method of `recorder.Recorder`) and the positions of its arguments. Calls in `HARMLESS`
are not traced at all; what is in neither is unknown, and a run that made such a call is not stored. strace prints
numbers that it does not know as `syscall_0x...`; `BY_NUMBER` gives those since Linux 5.18 their names (the numbers
are the same on x86-64 and arm64).
"""

from __future__ import annotations

_ROWS = """
open                    open        path=0 flags=1 mode=2
openat                  open        dir=0 path=1 flags=2 mode=3
openat2                 open        dir=0 path=1 how=2
creat                   create      path=0 mode=1
stat                    status      path=0
lstat                   status      path=0 nofollow=1
newfstatat              status      dir=0 path=1 flags=3
fstatat64               status      dir=0 path=1 flags=3
statx                   status      dir=0 path=1 flags=2
fstat                   status      dir=0
access                  access      path=0 mode=1
faccessat               access      dir=0 path=1 mode=2
faccessat2              access      dir=0 path=1 mode=2 flags=3
readlink                link        path=0
readlinkat              link        dir=0 path=1
getdents                listing     dir=0 entries=1
getdents64              listing     dir=0 entries=1
chdir                   chdir       path=0
fchdir                  chdir       dir=0
getxattr                attribute   path=0 name=1
lgetxattr               attribute   path=0 name=1 nofollow=1
fgetxattr               attribute   dir=0 name=1
listxattr               attribute   path=0
llistxattr              attribute   path=0 nofollow=1
flistxattr              attribute   dir=0
getxattrat              attribute   dir=0 path=1 flags=2 name=3
listxattrat             attribute   dir=0 path=1 flags=2
file_getattr            attribute   dir=0 path=1
inotify_add_watch       status      path=1
execve                  execute     path=0 argv=1
execveat                execute     dir=0 path=1 argv=2 flags=4
mkdir                   mkdir       path=0 mode=1
mkdirat                 mkdir       dir=0 path=1 mode=2
mknod                   mknod       path=0 mode=1
mknodat                 mknod       dir=0 path=1 mode=2
symlink                 symlink     text=0 path=1
symlinkat               symlink     text=0 dir=1 path=2
link                    hardlink    path=0 path2=1
linkat                  hardlink    dir=0 path=1 dir2=2 path2=3 flags=4
unlink                  unlink      path=0
unlinkat                unlink      dir=0 path=1 flags=2
rmdir                   rmdir       path=0
rename                  rename      path=0 path2=1
renameat                rename      dir=0 path=1 dir2=2 path2=3
renameat2               rename      dir=0 path=1 dir2=2 path2=3 flags=4
truncate                truncate    path=0
ftruncate               truncate    dir=0
chmod                   chmod       path=0 mode=1
fchmod                  chmod       dir=0 mode=1
fchmodat                chmod       dir=0 path=1 mode=2
fchmodat2               chmod       dir=0 path=1 mode=2 flags=3
chown                   chown       path=0 owner=1 group=2
lchown                  chown       path=0 owner=1 group=2 nofollow=1
fchown                  chown       dir=0 owner=1 group=2
fchownat                chown       dir=0 path=1 owner=2 group=3 flags=4
utime                   utimes      path=0 times=1
utimes                  utimes      path=0 times=1
futimesat               utimes      dir=0 path=1 times=2
utimensat               utimes      dir=0 path=1 times=2 flags=3
setxattr                setxattr    path=0
lsetxattr               setxattr    path=0 nofollow=1
fsetxattr               setxattr    dir=0
removexattr             setxattr    path=0
lremovexattr            setxattr    path=0 nofollow=1
fremovexattr            setxattr    dir=0
setxattrat              setxattr    dir=0 path=1 flags=2
removexattrat           setxattr    dir=0 path=1 flags=2
file_setattr            setxattr    dir=0 path=1
clone                   fork
clone3                  fork
fork                    fork
vfork                   fork
umask                   umask       mode=0
exit_group              nothing
exit                    nothing
ioctl                   ioctl       dir=0 request=1
uname                   host        -uname
statfs                  statfs      path=0
fstatfs                 statfs      dir=0
sched_getaffinity       host        -cpus
getrlimit               limit       resource=0
prlimit64               limit       resource=1 new=2
connect                 connect     address=1
bind                    bind        address=1
getsockname             socket_name address=1
sendto                  send        address=4
sendmsg                 message     header=1
sendmmsg                message     header=1
seccomp                 seccomp     flags=1
ptrace                  refuse      -nested_tracer
process_vm_readv        refuse      -nested_tracer
process_vm_writev       refuse      -nested_tracer
pidfd_getfd             refuse      -unknown_call
io_uring_setup          refuse      -io_uring
io_uring_enter          refuse      -io_uring
io_uring_register       refuse      -io_uring
io_setup                refuse      -io_uring
name_to_handle_at       refuse      -unknown_call
open_by_handle_at       refuse      -unknown_call
fanotify_init           refuse      -unknown_call
fanotify_mark           refuse      -unknown_call
chroot                  refuse      -namespace
pivot_root              refuse      -namespace
mount                   refuse      -namespace
umount                  refuse      -namespace
umount2                 refuse      -namespace
setns                   refuse      -namespace
unshare                 unshare     flags=0
open_tree               refuse      -namespace
open_tree_attr          refuse      -namespace
move_mount              refuse      -namespace
fsopen                  refuse      -namespace
fsconfig                refuse      -namespace
fsmount                 refuse      -namespace
fspick                  refuse      -namespace
mount_setattr           refuse      -namespace
statmount               refuse      -machine
listmount               refuse      -machine
setuid                  privilege   id=0
setgid                  privilege   id=0
setreuid                privilege   id=0
setregid                privilege   id=0
setresuid               privilege   id=0
setresgid               privilege   id=0
setgroups               refuse      -privilege
capset                  refuse      -privilege
keyctl                  refuse      -machine
add_key                 refuse      -machine
request_key             refuse      -machine
bpf                     refuse      -machine
perf_event_open         refuse      -machine
syslog                  refuse      -machine
quotactl                refuse      -machine
quotactl_fd             refuse      -machine
swapon                  refuse      -machine
swapoff                 refuse      -machine
acct                    refuse      -machine
reboot                  refuse      -machine
sethostname             refuse      -machine
setdomainname           refuse      -machine
settimeofday            refuse      -machine
clock_settime           refuse      -machine
adjtimex                refuse      -clock
clock_adjtime           refuse      -clock
init_module             refuse      -machine
finit_module            refuse      -machine
delete_module           refuse      -machine
kexec_load              refuse      -machine
kexec_file_load         refuse      -machine
iopl                    refuse      -machine
ioperm                  refuse      -machine
lookup_dcookie          refuse      -machine
uselib                  refuse      -unknown_call
shmget                  ipc         key=0
msgget                  ipc         key=0
semget                  ipc         key=0
mq_open                 refuse      -ipc
mq_unlink               refuse      -ipc
"""

_UNTRACED = """
accept accept4 alarm arch_prctl brk capget clock_getres clock_gettime clock_nanosleep close close_range
dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd
eventfd2 fadvise64 fallocate fcntl fdatasync flock fsync futex futex_waitv get_mempolicy get_robust_list
get_thread_area getcpu getcwd getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid
getpriority getrandom getresgid getresuid getrusage getsid  getsockopt gettid gettimeofday getuid
inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_submit ioprio_get
ioprio_set kcmp kill landlock_add_rule landlock_create_ruleset landlock_restrict_self listen lseek madvise mbind
membarrier memfd_create memfd_secret migrate_pages mincore mlock mlock2 mlockall mmap modify_ldt move_pages mprotect
mq_getsetattr mq_notify mq_timedreceive mq_timedsend mremap msgctl msgrcv msgsnd msync munlock munlockall munmap
nanosleep pause personality pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll
prctl process_madvise process_mrelease pselect6 readahead recvmmsg remap_file_pages restart_syscall rseq
rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield select semctl
semop semtimedop set_mempolicy set_mempolicy_home_node set_robust_list set_thread_area set_tid_address setfsgid
setfsuid setitimer setpgid setpriority setrlimit setsid setsockopt shmat shmctl shmdt shutdown sigaltstack signalfd
signalfd4 socket socketpair sync sync_file_range syncfs sysinfo tgkill time timer_create timer_delete
timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill userfaultfd
vhangup vmsplice wait4 waitid
"""
HARMLESS = frozenset(_UNTRACED.split())

READS = frozenset({"read", "readv", "pread64", "preadv", "preadv2", "recvfrom", "recvmsg", "sendfile", "splice"}) | {
    "copy_file_range",
    "tee",
}
"""Traced only when a descriptor that the caller gave could be read; harmless otherwise."""

WRITES = frozenset({"write", "writev", "pwrite64", "pwritev", "pwritev2", "sendfile", "splice", "copy_file_range"})
"""Traced only when a descriptor that the caller gave is a regular file or lies above 2."""

BY_NUMBER = {
    451: "cachestat",
    452: "fchmodat2",
    453: "map_shadow_stack",
    454: "futex_wake",
    455: "futex_wait",
    456: "futex_requeue",
    457: "statmount",
    458: "listmount",
    459: "lsm_get_self_attr",
    460: "lsm_set_self_attr",
    461: "lsm_list_modules",
    462: "mseal",
    463: "setxattrat",
    464: "getxattrat",
    465: "listxattrat",
    466: "removexattrat",
    467: "open_tree_attr",
    468: "file_getattr",
    469: "file_setattr",
}
HARMLESS_BY_NUMBER = frozenset({"cachestat", "map_shadow_stack", "futex_wake", "futex_wait", "futex_requeue", "mseal"})
"""Harmless calls that strace 6.1 cannot name, so that they are traced and dropped here."""


class Row:
    """What a call does: its `effect`, a `word` that belongs to it, and where its arguments stand."""

    __slots__ = ("effect", "places", "word")

    def __init__(self, effect: str, word: str, places: dict[str, int]) -> None:
        self.effect = effect
        self.word = word
        self.places = places


def _table() -> dict[str, Row]:
    table = {}
    for line in _ROWS.strip().splitlines():
        name, effect, *rest = line.split()
        word = next((item[1:] for item in rest if item.startswith("-")), "")
        pairs = (item.split("=") for item in rest if "=" in item)
        table[name] = Row(effect, word, {key: int(value) for key, value in pairs})
    return table


TABLE = _table()


def call_name(name: str) -> str:
    """The name of a call that strace printed by its number."""
    if name.startswith("syscall_0x"):
        return BY_NUMBER.get(int(name[8:], 16), name)
    return name


def untraced(reads: bool, writes: bool) -> frozenset[str]:
    """The calls that need no tracing, given whether reads and writes of the caller's descriptors matter."""
    optional = (frozenset() if reads else READS) | (frozenset() if writes else WRITES)
    traced = (READS if reads else frozenset()) | (WRITES if writes else frozenset())
    return (HARMLESS | optional) - traced
