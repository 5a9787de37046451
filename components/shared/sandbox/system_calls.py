"""The system calls that sandboxed code may make, as a seccomp filter (seccomp(2), a classic BPF program).

An allow list: what is not named fails with EPERM, so a call that a later kernel brings is refused too. Left out on
purpose: connecting or listening in any family, new processes and programs (fork, vfork, exec), signals to others,
ptrace and process_vm_*, mounts and namespaces, io_uring (it opens sockets behind a filter's back), bpf, keyctl, and
what Landlock does not rule on (chmod, chown, xattr, utime, truncate by path, links).
"""

import ctypes
import os
import platform
import struct

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Machine -> column in the tables below, and its AUDIT_ARCH (linux/audit.h)."""

# name, number on x86-64, number on arm64 (- where it does not exist there)
_ALWAYS = """
read 0 63; readv 19 65; pread64 17 67; write 1 64; writev 20 66; pwrite64 18 68; close 3 57; close_range 436 436
lseek 8 62; fstat 5 80; newfstatat 262 79; stat 4 -; lstat 6 -; statx 332 291; access 21 -; faccessat 269 48
faccessat2 439 439; readlink 89 -; readlinkat 267 78; getcwd 79 17; chdir 80 49; umask 95 166; getdents64 217 61
dup 32 23; dup2 33 -; dup3 292 24; pipe 22 -; pipe2 293 59; eventfd2 290 19; poll 7 -; ppoll 271 73; select 23 -
pselect6 270 72; epoll_create1 291 20; epoll_ctl 233 21; epoll_wait 232 -; epoll_pwait 281 22; fsync 74 82
fdatasync 75 83; flock 73 32; fadvise64 221 223; recvfrom 45 207; shutdown 48 210; getsockopt 55 209
getsockname 51 204; getpeername 52 205
mmap 9 222; munmap 11 215; mprotect 10 226; mremap 25 216; brk 12 214; madvise 28 233; membarrier 324 283
futex 202 98; set_robust_list 273 99; get_robust_list 274 100; set_tid_address 218 96; rseq 334 293; gettid 186 178
sched_yield 24 124; sched_getaffinity 204 123; exit 60 93; exit_group 231 94; wait4 61 260; waitid 247 95
clock_gettime 228 113; clock_getres 229 114; clock_nanosleep 230 115; nanosleep 35 101; gettimeofday 96 169
time 201 -; times 100 153; getitimer 36 102; setitimer 38 103; alarm 37 -
rt_sigaction 13 134; rt_sigprocmask 14 135; rt_sigreturn 15 139; rt_sigpending 127 136; rt_sigtimedwait 128 137
rt_sigsuspend 130 133; sigaltstack 131 132; pause 34 -; restart_syscall 219 128
getpid 39 172; getppid 110 173; getuid 102 174; geteuid 107 175; getgid 104 176; getegid 108 177; getgroups 115 158
getpgrp 111 -; getpgid 121 155; getsid 124 156; uname 63 160; sysinfo 99 179; getrusage 98 165; getrandom 318 278
getcpu 309 168; getpriority 140 141; getrlimit 97 163
"""
# Only where Landlock confines writing to the working folder.
_IN_THE_FOLDER = """
ftruncate 77 46; rename 82 -; renameat 264 38; renameat2 316 276; unlink 87 -; unlinkat 263 35
"""
# Decided by their arguments.
_OPEN, _OPENAT = (2, None), (257, 56)
_CLONE, _CLONE3 = (56, 220), (435, 435)
_FCNTL, _IOCTL = (72, 25), (16, 29)
_KILL, _TGKILL = (62, 129), (234, 131)
_PRLIMIT, _SOCKETPAIR, _SENDTO = (302, 261), (53, 199), (44, 206)

_EPERM, _ENOSYS = 1, 38
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_CLONE_THREAD = 0x00010000
_WRITING = 0o3 | 0o100 | 0o1000 | 0o20000000  # O_ACCMODE, O_CREAT, O_TRUNC, O_TMPFILE
_FCNTL_COMMANDS = (0, 1, 2, 3, 4, 1030)  # duplicate, and get and set flags; F_SETOWN would send signals to others
_IOCTL_COMMANDS = (0x5401, 0x5421, 0x5450, 0x5451)  # TCGETS (isatty), FIONBIO, FIONCLEX, FIOCLEX

_LOAD, _AND, _EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x06
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand: struct sock_filter (linux/filter.h)."""


def install_filter(writing: bool) -> None:
    """Confine this process and all its threads, irreversibly.

    Args:
        writing: whether files may be opened for writing (Landlock then says which).

    Raises:
        OSError: the machine's architecture or kernel has no seccomp filters, or a policy forbids them.
    """
    program = b"".join(struct.pack("HBBI", *line) for line in filter_program(platform.machine(), os.getpid(), writing))
    buffer = ctypes.create_string_buffer(program)
    libc = ctypes.CDLL(None, use_errno=True)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    reference = ctypes.byref(Program(len(program) // 8, ctypes.addressof(buffer)))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, reference):
        code = ctypes.get_errno()
        raise OSError(code, f"seccomp filter refused: {os.strerror(code)}")


def filter_program(machine: str, process: int, writing: bool) -> list[Instruction]:
    """The filter for a machine (`platform.machine()`) and the process that will install it. Raises OSError."""
    if machine not in ARCHITECTURES:
        raise OSError(_ENOSYS, f"no system call table for {machine}, only for {', '.join(ARCHITECTURES)}")
    column, architecture = ARCHITECTURES[machine]
    lines: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for number in _numbers(_ALWAYS + (_IN_THE_FOLDER if writing else ""), column):
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for numbers, body in _rules(process, writing):
        if (ruled := numbers[column]) is not None:
            lines += [(_EQUAL, 0, len(body), ruled), *body]
    return [*lines, (_RETURN, 0, 0, _ERRNO | _EPERM)]


def _numbers(table: str, column: int) -> list[int]:
    calls = [call.split() for call in table.replace("\n", ";").split(";") if call.strip()]
    return [int(call[1 + column]) for call in calls if call[1 + column] != "-"]


def _rules(process: int, writing: bool) -> list[tuple[tuple[int, int | None], list[Instruction]]]:
    """Calls with what decides on them; every body ends with a return."""
    return [
        (_OPEN, _allow_open(1, writing)),
        (_OPENAT, _allow_open(2, writing)),
        (_CLONE, _allow_if(0, _CLONE_THREAD, (_CLONE_THREAD,))),
        # Its flags are in memory, which a filter cannot read; glibc falls back to clone.
        (_CLONE3, [(_RETURN, 0, 0, _ERRNO | _ENOSYS)]),
        (_FCNTL, _allow_if(1, None, _FCNTL_COMMANDS)),
        (_IOCTL, _allow_if(1, None, _IOCTL_COMMANDS)),
        (_KILL, _allow_if(0, None, (process,))),
        (_TGKILL, _allow_if(0, None, (process,))),
        # Reading limits, not setting them: no new value.
        (_PRLIMIT, _allow_null(2)),
        # asyncio wakes itself through a pair of connected stream sockets; with no address given they reach nobody else.
        (_SOCKETPAIR, [*_require(0, None, 1), *_allow_if(1, 0xF, (1,))]),
        (_SENDTO, _allow_null(4)),
    ]


def _allow_open(argument: int, writing: bool) -> list[Instruction]:
    return [(_RETURN, 0, 0, _ALLOW)] if writing else _allow_if(argument, _WRITING, (0,))


def _low(argument: int) -> int:
    """Offset of the low half of a 64-bit argument on a little-endian machine."""
    return 16 + 8 * argument


def _allow_if(argument: int, mask: int | None, values: tuple[int, ...]) -> list[Instruction]:
    """Allow when the argument's low half, masked, is one of the values; else EPERM."""
    masked: list[Instruction] = [(_AND, 0, 0, mask)] if mask is not None else []
    tests: list[Instruction] = [(_EQUAL, len(values) - position, 0, value) for position, value in enumerate(values)]
    return [(_LOAD, 0, 0, _low(argument)), *masked, *tests, (_RETURN, 0, 0, _ERRNO | _EPERM), (_RETURN, 0, 0, _ALLOW)]


def _require(argument: int, mask: int | None, value: int) -> list[Instruction]:
    """Go on when the argument's low half, masked, is the value; else EPERM."""
    masked: list[Instruction] = [(_AND, 0, 0, mask)] if mask is not None else []
    return [(_LOAD, 0, 0, _low(argument)), *masked, (_EQUAL, 1, 0, value), (_RETURN, 0, 0, _ERRNO | _EPERM)]


def _allow_null(argument: int) -> list[Instruction]:
    """Allow when the argument, a pointer, is null; else EPERM."""
    low: list[Instruction] = _require(argument, None, 0)
    high: list[Instruction] = [(_LOAD, 0, 0, _low(argument) + 4), (_EQUAL, 0, 1, 0), (_RETURN, 0, 0, _ALLOW)]
    return [*low, *high, (_RETURN, 0, 0, _ERRNO | _EPERM)]
