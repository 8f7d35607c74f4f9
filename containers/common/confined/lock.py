"""Takes away a process's rights, for good: limits, no new privileges, a filter of system calls.

Called once, in a child that has its modules and its descriptors and has read none of a user's
bytes yet. There is no way back: neither call can be undone by the process or by its threads.
"""

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
from dataclasses import dataclass
from pathlib import Path

from containers.common.confined.system_calls import AUDIT_ARCH, FATAL, FREE, number

# linux/prctl.h, linux/seccomp.h, linux/bpf_common.h, linux/sched.h, linux/landlock.h
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_SET_MODE_FILTER, _FLAG_TSYNC = 1, 1
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_CLONE_THREAD = 0x10000
_PROT_EXEC = 4
_DUPLICATE = 1030
"""F_DUPFD_CLOEXEC of fcntl(2): Python's mmap keeps a copy of its descriptor."""
_NUMBER_AT, _ARCH_AT = 0, 4
_FOREIGN_ABI = 0x40000000
"""Bit of the x32 calls, which x86_64 kernels may take beside their own."""
_LANDLOCK_ABI_1 = 0x1FFF
"""All file system rights that landlock's first version knows."""


class LockRefusedError(Exception):
    """The kernel does not take the filter."""


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What a locked process may still use."""

    memory_bytes: int
    """Address space beyond what it takes already."""
    cpu_seconds: int
    file_bytes: int
    """Of any file that it writes; 0 for none."""
    filtered: bool = True


def die_with_parent(parent: int) -> None:
    """Let the kernel kill this process as soon as the thread that started it is gone."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it went before it was asked for
        os._exit(1)


def lock(rights: Rights) -> None:
    """Give up everything but memory, time and open descriptors. Raises LockRefusedError."""
    Path("/proc/self/oom_score_adj").write_text("1000")  # before the parent, if memory runs out
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, pages * resource.getpagesize() + rights.memory_bytes)
    _limit(resource.RLIMIT_FSIZE, rights.file_bytes)
    _limit(resource.RLIMIT_NOFILE, highest + 1)  # one more, for the listing took one itself
    resource.setrlimit(resource.RLIMIT_CPU, (rights.cpu_seconds, rights.cpu_seconds + 5))
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    if rights.filtered:
        machine = platform.machine()
        if machine not in AUDIT_ARCH:
            raise LockRefusedError(f"there is no list of system calls for {machine}")
        _close_file_system(machine)
        _install(filter_program(machine, os.getpid()), machine)


def _limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (value, value))


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise LockRefusedError(f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def _close_file_system(machine: str) -> None:
    """Landlock without a single rule, behind the filter. Kernels before 5.13 have none."""
    libc = ctypes.CDLL(None, use_errno=True)
    rights = struct.pack("<Q", _LANDLOCK_ABI_1)
    create = number("landlock_create_ruleset", machine)
    ruleset = libc.syscall(ctypes.c_long(create or 0), rights, ctypes.c_size_t(len(rights)), 0)
    if ruleset < 0:
        return
    libc.syscall(ctypes.c_long(number("landlock_restrict_self", machine) or 0), ruleset, 0)
    os.close(ruleset)


class _FilterProgram(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def _install(code: bytes, machine: str) -> None:
    program = _FilterProgram(len(code) // 8, code)
    done = ctypes.CDLL(None, use_errno=True).syscall(
        ctypes.c_long(number("seccomp", machine) or 0),
        _SET_MODE_FILTER,
        _FLAG_TSYNC,
        ctypes.byref(program),
    )
    if done != 0:
        reason = os.strerror(ctypes.get_errno()) if done < 0 else f"thread {done} stays outside"
        raise LockRefusedError(f"seccomp: {reason}")


def filter_program(machine: str, pid: int) -> bytes:
    """The filter (seccomp(2), classic BPF): a call that is not named fails with EPERM.

    EPERM and not a kill, for C libraries look for files (time zones, processor counts) and go on
    without them.
    """
    code = [
        _do(_LOAD, _ARCH_AT), _jump(_EQUAL, AUDIT_ARCH[machine], 1, 0),
        _do(_RETURN, _KILL_PROCESS), _do(_LOAD, _NUMBER_AT),
        _jump(_AT_LEAST, _FOREIGN_ABI, 0, 1), _do(_RETURN, _KILL_PROCESS),
    ]  # fmt: skip
    for name in FREE:
        code += _answer(name, machine, _ALLOW)
    # Memory that holds code is for the loader, which has finished.
    for name in ("mmap", "mprotect"):
        code += _judge(name, machine, 2, (_ANY_BIT, _PROT_EXEC), (_ERRNO | errno.EPERM, _ALLOW))
    code += _judge("clone", machine, 0, (_ANY_BIT, _CLONE_THREAD), (_ALLOW, _KILL_PROCESS))
    code += _answer("clone3", machine, _ERRNO | errno.ENOSYS)  # glibc then takes clone
    for name in ("kill", "tgkill"):
        code += _judge(name, machine, 0, (_EQUAL, pid), (_ALLOW, _ERRNO | errno.EPERM))
    code += _judge("fcntl", machine, 1, (_EQUAL, _DUPLICATE), (_ALLOW, _ERRNO | errno.EPERM))
    for name in FATAL:
        code += _answer(name, machine, _KILL_PROCESS)
    code.append(_do(_RETURN, _ERRNO | errno.EPERM))
    return b"".join(code)


def _do(operation: int, value: int) -> bytes:
    return struct.pack("<HBBI", operation, 0, 0, value)


def _jump(operation: int, value: int, if_true: int, if_false: int) -> bytes:
    return struct.pack("<HBBI", operation, if_true, if_false, value)


def _answer(name: str, machine: str, answer: int) -> list[bytes]:
    call = number(name, machine)
    return [] if call is None else [_jump(_EQUAL, call, 0, 1), _do(_RETURN, answer)]


def _judge(
    name: str, machine: str, argument: int, test: tuple[int, int], answers: tuple[int, int]
) -> list[bytes]:
    """By the low half of an argument: the first answer if the test holds, else the second."""
    operation, value = test
    return [
        _jump(_EQUAL, number(name, machine) or 0, 0, 4),
        _do(_LOAD, 16 + 8 * argument),
        _jump(operation, value, 0, 1),
        _do(_RETURN, answers[0]),
        _do(_RETURN, answers[1]),
    ]
