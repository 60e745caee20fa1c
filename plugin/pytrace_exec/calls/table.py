# SPDX-License-Identifier: Apache-2.0
"""The table of system calls: what each does, and which argument is what.

A row is a name, an effect, and the positions of its arguments by key; `-word` belongs to the effect, `nofollow` says
that a link at the end of the path is not followed. Calls in `HARMLESS` are not traced at all. What is in neither is
unknown, and a run that made such a call is not stored. strace's selection of calls, the header of the native tracer
and a page of the documentation are made from this table (`scripts/calls`).
"""

from __future__ import annotations

_ROWS = """
open                    open        path=0 flags=1 mode=2
openat                  open        dir=0 path=1 flags=2 mode=3
openat2                 open        dir=0 path=1 how=2
creat                   create      path=0 mode=1
stat                    status      path=0
lstat                   status      path=0 nofollow
newfstatat              status      dir=0 path=1 flags=3
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
lgetxattr               attribute   path=0 name=1 nofollow
fgetxattr               attribute   dir=0 name=1
listxattr               attribute   path=0
llistxattr              attribute   path=0 nofollow
flistxattr              attribute   dir=0
getxattrat              attribute   dir=0 path=1 flags=2 name=3
listxattrat             attribute   dir=0 path=1 flags=2
file_getattr            attribute   dir=0 path=1 flags=4
inotify_add_watch       status      path=1
execve                  execute     path=0 argv=1 head=5
execveat                execute     dir=0 path=1 argv=2 flags=4 head=5
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
lchown                  chown       path=0 owner=1 group=2 nofollow
fchown                  chown       dir=0 owner=1 group=2
fchownat                chown       dir=0 path=1 owner=2 group=3 flags=4
utime                   utimes      path=0 times=1
utimes                  utimes      path=0 times=1
futimesat               utimes      dir=0 path=1 times=2
utimensat               utimes      dir=0 path=1 times=2 flags=3
setxattr                setxattr    path=0 name=1 size=3
lsetxattr               setxattr    path=0 name=1 size=3 nofollow
fsetxattr               setxattr    dir=0 name=1 size=3
removexattr             setxattr    path=0 name=1
lremovexattr            setxattr    path=0 name=1 nofollow
fremovexattr            setxattr    dir=0 name=1
setxattrat              setxattr    dir=0 path=1 flags=2 name=3
removexattrat           setxattr    dir=0 path=1 flags=2 name=3
file_setattr            setxattr    dir=0 path=1 flags=4
clone                   fork        flags=0
clone3                  fork        how=0
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
getpriority             host        -nice
getrlimit               limit       resource=0
prlimit64               limit       resource=1 new=2
connect                 connect     address=1
bind                    bind        address=1
getsockname             socket_name address=1
sendto                  send        write=0 address=4
sendmsg                 message     write=0 header=1
sendmmsg                message     write=0 header=1
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
setreuid                privilege   id=0 id2=1
setregid                privilege   id=0 id2=1
setresuid               privilege   id=0 id2=1 id3=2
setresgid               privilege   id=0 id2=1 id3=2
setfsuid                privilege   id=0
setfsgid                privilege   id=0
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
lsm_get_self_attr       refuse      -machine
lsm_list_modules        refuse      -machine
lsm_set_self_attr       refuse      -privilege
sysfs                   refuse      -machine
ustat                   refuse      -machine
_sysctl                 refuse      -machine
nfsservctl              refuse      -unknown_call
afs_syscall             refuse      -unknown_call
create_module           refuse      -unknown_call
get_kernel_syms         refuse      -unknown_call
query_module            refuse      -unknown_call
getpmsg                 refuse      -unknown_call
putpmsg                 refuse      -unknown_call
security                refuse      -unknown_call
tuxcall                 refuse      -unknown_call
vserver                 refuse      -unknown_call
epoll_ctl_old           refuse      -unknown_call
epoll_wait_old          refuse      -unknown_call
read                    transfer    read=0
readv                   transfer    read=0
pread64                 transfer    read=0
preadv                  transfer    read=0
preadv2                 transfer    read=0
recvfrom                transfer    read=0
recvmsg                 transfer    read=0
recvmmsg                transfer    read=0
write                   transfer    write=0
writev                  transfer    write=0
pwrite64                transfer    write=0
pwritev                 transfer    write=0
pwritev2                transfer    write=0
sendfile                transfer    write=0 read=1
splice                  transfer    read=0 write=2
copy_file_range         transfer    read=0 write=2
tee                     transfer    read=0 write=1
vmsplice                transfer    read=0 write=0
"""

_HARMLESS = """
accept accept4 alarm arch_prctl brk cachestat capget clock_getres clock_gettime clock_nanosleep close close_range dup
dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 fadvise64
fallocate fcntl fdatasync flock fsync futex futex_requeue futex_wait futex_waitv futex_wake get_mempolicy
get_robust_list get_thread_area getcpu getcwd getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp
getpid getppid getrandom getresgid getresuid getrusage getsid getsockopt gettid gettimeofday getuid
inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_submit ioprio_get
ioprio_set kcmp kill landlock_add_rule landlock_create_ruleset landlock_restrict_self listen lseek madvise
map_shadow_stack mbind membarrier memfd_create memfd_secret migrate_pages mincore mlock mlock2 mlockall mmap
modify_ldt move_pages mprotect mq_getsetattr mq_notify mq_timedreceive mq_timedsend mremap mseal msgctl msgrcv msgsnd
msync munlock munlockall munmap nanosleep pause personality pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc
pkey_free pkey_mprotect poll ppoll prctl process_madvise process_mrelease pselect6 readahead remap_file_pages
restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend
rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min sched_getattr sched_getparam
sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
select semctl semop semtimedop set_mempolicy set_mempolicy_home_node set_robust_list set_thread_area set_tid_address
setitimer setpgid setpriority setrlimit setsid setsockopt shmat shmctl shmdt shutdown sigaltstack signalfd signalfd4
socket socketpair sync sync_file_range syncfs sysinfo tgkill time timer_create timer_delete timer_getoverrun
timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill uprobe uretprobe userfaultfd
vhangup wait4 waitid
"""
HARMLESS = frozenset(_HARMLESS.split())
"""Calls that neither look at the tree nor change it, and tell a program nothing that counts."""

EFFECTS = {
    "access": "asks for access to a path",
    "attribute": "reads attributes of a path",
    "bind": "gives a socket an address",
    "chdir": "changes the working directory",
    "chmod": "changes a mode",
    "chown": "changes an owner",
    "connect": "talks to a peer",
    "create": "creates or truncates a file",
    "execute": "runs a program",
    "fork": "makes a process or a thread",
    "hardlink": "gives a file another name",
    "host": "reads a fact of the machine",
    "ioctl": "controls a descriptor",
    "ipc": "opens System V memory, messages or semaphores",
    "limit": "reads a limit",
    "link": "reads a symbolic link",
    "listing": "lists a directory",
    "message": "sends messages, which may name a peer",
    "mkdir": "makes a directory",
    "mknod": "makes a file or a special one",
    "nothing": "ends a thread or process",
    "open": "opens a path",
    "privilege": "changes user or group",
    "refuse": "is not followed",
    "rename": "moves a path",
    "rmdir": "removes a directory",
    "seccomp": "filters calls",
    "send": "sends bytes, which may name a peer",
    "setxattr": "changes attributes",
    "socket_name": "asks for a socket's address",
    "status": "asks for the status of a path or descriptor",
    "statfs": "asks for the state of a file system",
    "symlink": "makes a symbolic link",
    "transfer": "reads or writes a descriptor",
    "truncate": "cuts or extends a file",
    "umask": "changes the mode of files to be made",
    "unlink": "removes a name",
    "unshare": "leaves what threads share, or a namespace",
    "utimes": "changes times",
}
"""What the effects are; `observe.reader` has the function of each."""


class Row:
    """What a call does: its `effect`, a `word` that belongs to it, where its arguments stand.

    `follows`: it follows a link at the end of a path.
    """

    __slots__ = ("effect", "follows", "places", "word")

    def __init__(self, effect: str, word: str, places: dict[str, int], follows: bool) -> None:
        self.effect = effect
        self.word = word
        self.places = places
        self.follows = follows


def _table() -> dict[str, Row]:
    table = {}
    for line in _ROWS.strip().splitlines():
        name, effect, *rest = line.split()
        word = next((item[1:] for item in rest if item.startswith("-")), "")
        pairs = (item.split("=") for item in rest if "=" in item)
        table[name] = Row(effect, word, {key: int(value) for key, value in pairs}, "nofollow" not in rest)
    return table


TABLE = _table()

LOOKS = frozenset({"status", "access", "link", "open", "listing", "ioctl"})
"""Effects of calls that only look, if an open does not change; processes of one kind make them again and again."""

READS = frozenset(name for name, row in TABLE.items() if row.effect == "transfer" and "read" in row.places)
"""Traced only when a descriptor that the caller gave could be read; harmless otherwise."""

WRITES = frozenset(name for name, row in TABLE.items() if row.effect == "transfer" and "write" in row.places)
"""Traced only when a descriptor that the caller gave is a regular file or lies above 2."""


def untraced(reads: bool, writes: bool) -> frozenset[str]:
    """The calls that need no tracing, given whether reads and writes of the caller's descriptors matter."""
    optional = (frozenset() if reads else READS) | (frozenset() if writes else WRITES)
    traced = (READS if reads else frozenset()) | (WRITES if writes else frozenset())
    return (HARMLESS | optional) - traced
