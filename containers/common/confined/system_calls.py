"""Which system calls a confined child may make, which end it, and their numbers by machine.

lock.py makes the filter of them.

x86_64: arch/x86/entry/syscalls/syscall_64.tbl; aarch64: include/uapi/asm-generic/unistd.h.
"""

FREE = (
    "futex", "read", "recvfrom", "sendto", "write", "madvise", "munmap", "mremap", "brk",
    "sched_yield", "rt_sigprocmask", "lseek", "readv", "writev", "pread64", "pwrite64", "close",
    "fstat", "sched_getaffinity", "set_robust_list", "rseq", "rt_sigaction", "rt_sigreturn",
    "sigaltstack", "nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres",
    "gettimeofday", "time", "getpid", "gettid", "getppid", "exit", "exit_group", "poll", "ppoll",
    "getrandom", "getrusage", "membarrier", "restart_syscall",
)  # fmt: skip
"""Calls of decoders, numpy and the interpreter: on memory, and on descriptors they have."""
FATAL = (
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev",
    "socket", "socketpair", "connect", "bind", "bpf", "io_uring_setup", "mount", "unshare",
    "setns", "perf_event_open", "userfaultfd", "keyctl", "pidfd_getfd",
)  # fmt: skip
"""Calls that no decoder needs: whoever makes one has taken the process over, so it is killed."""

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""linux/audit.h: what a filter compares a call's machine with."""

_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "futex": (202, 98), "read": (0, 63), "write": (1, 64), "recvfrom": (45, 207),
    "sendto": (44, 206), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "lseek": (8, 62), "close": (3, 57), "fstat": (5, 80),
    "munmap": (11, 215), "mremap": (25, 216), "madvise": (28, 233), "brk": (12, 214),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "set_robust_list": (273, 99),
    "rseq": (334, 293), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "sigaltstack": (131, 132), "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "gettimeofday": (96, 169), "time": (201, None), "getpid": (39, 172), "gettid": (186, 178),
    "getppid": (110, 173), "exit": (60, 93), "exit_group": (231, 94), "poll": (7, None),
    "ppoll": (271, 73), "getrandom": (318, 278), "getrusage": (98, 165),
    "membarrier": (324, 283), "restart_syscall": (219, 128),
    "mmap": (9, 222), "mprotect": (10, 226), "clone": (56, 220), "clone3": (435, 435),
    "fcntl": (72, 25),
    "kill": (62, 129), "tgkill": (234, 131), "tkill": (200, 130),
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200),
    "bpf": (321, 280), "io_uring_setup": (425, 425), "mount": (165, 40), "unshare": (272, 97),
    "setns": (308, 268), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "keyctl": (250, 219), "pidfd_getfd": (438, 438), "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444), "landlock_restrict_self": (446, 446),
}  # fmt: skip


def number(name: str, machine: str) -> int | None:
    """Of a call on `x86_64` or `aarch64`; None where the machine has no such call."""
    return _NUMBERS[name][0 if machine == "x86_64" else 1]
