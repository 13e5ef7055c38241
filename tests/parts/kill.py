"""Runs a piece of work in a child process, and kills it with SIGKILL before one of its system calls.

The child is traced (ptrace(2)), so a step is what the kernel is really asked for: SQLite's writes and libpq's
messages as well as our own files. Linux 5.3 or newer, on x86_64 or aarch64.
"""

import ctypes
import os
import platform
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from parts.need import need

TRACEME, SYSCALL, SETOPTIONS, GET_SYSCALL_INFO = 0, 24, 0x4200, 0x420E
GOOD_SYSCALL_STOPS, EXIT_WITH_US = 1, 0x100000
INFO_BYTES, ENTRY = 96, 1
OPEN = {"x86_64": 257, "aarch64": 56}
CHANGES = {
    # write pwrite64 writev sendto sendmsg flock fsync fdatasync ftruncate rename mkdir link unlink chmod
    # fchmod fchown mkdirat unlinkat renameat fallocate renameat2
    "x86_64": {1, 18, 20, 44, 46, 73, 74, 75, 77, 82, 83, 86, 87, 90, 91, 93, 258, 263, 264, 285, 316},
    # flock mkdirat unlinkat renameat ftruncate fallocate fchmod fchmodat fchown write writev pwrite64 fsync
    # fdatasync sendto sendmsg renameat2
    "aarch64": {32, 34, 35, 38, 46, 47, 52, 53, 55, 64, 66, 68, 82, 83, 206, 211, 276},
}
"""System calls after which somebody else could see something new."""


@dataclass(frozen=True)
class Run:
    """How it ended."""

    steps: int
    was_killed: bool
    said: tuple[str, ...]
    """What the work had confirmed by then."""


def run(work: Callable[[Callable[[str], None]], object], kill_at: int | None = None) -> Run:
    """`work` gets a function that confirms something to the world: that must not be lost any more."""
    machine = platform.machine()
    need(machine in OPEN, f"no table of system calls for {machine}")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _be_traced(work, writing)
    os.close(writing)
    try:
        steps, was_killed = _follow(child, machine, kill_at)
        with os.fdopen(reading, closefd=False) as stream:
            said = tuple(stream.read().splitlines())
    finally:
        os.close(reading)
    return Run(steps, was_killed, said)


def _be_traced(work: Callable[[Callable[[str], None]], object], writing: int) -> None:
    code = 1
    try:
        _ptrace(TRACEME, 0, 0, None)
        os.kill(os.getpid(), signal.SIGSTOP)
        work(lambda words: os.write(writing, f"{words}\n".encode()) and None)
        code = 0
    except BaseException:  # noqa: BLE001  whatever it is, the parent must not go on twice
        traceback.print_exc()
    finally:
        os._exit(code)


def _follow(child: int, machine: str, kill_at: int | None) -> tuple[int, bool]:
    steps, info = 0, ctypes.create_string_buffer(INFO_BYTES)
    os.waitpid(child, 0)
    _ptrace(SETOPTIONS, child, 0, ctypes.c_void_p(GOOD_SYSCALL_STOPS | EXIT_WITH_US))
    passed = 0
    while True:
        _ptrace(SYSCALL, child, 0, ctypes.c_void_p(passed))
        _, status = os.waitpid(child, 0)
        if not os.WIFSTOPPED(status):
            assert os.WIFEXITED(status), f"it ended by signal {status & 0x7F}"
            assert os.WEXITSTATUS(status) == 0, "it raised something, see stderr"
            return steps, False
        stopped_by = os.WSTOPSIG(status)
        passed = 0 if stopped_by == signal.SIGTRAP | 0x80 else stopped_by
        if passed:
            continue
        _ptrace(GET_SYSCALL_INFO, child, INFO_BYTES, info)
        if info.raw[0] == ENTRY and _changes(info.raw, machine):
            steps += 1
            if steps == kill_at:
                os.kill(child, signal.SIGKILL)
                _, status = os.waitpid(child, 0)
                assert os.WIFSIGNALED(status)
                return steps, True


def _changes(info: bytes, machine: str) -> bool:
    number, _, _, flags = (int.from_bytes(info[at : at + 8], "little") for at in (24, 32, 40, 48))
    if number == OPEN[machine]:
        return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return number in CHANGES[machine]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, child: int, address: int, data: object) -> None:
    if _libc.ptrace(request, child, ctypes.c_void_p(address), data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request:#x}")
