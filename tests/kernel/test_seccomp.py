"""The filter refuses what acts on others, and leaves alone what training code does."""

from __future__ import annotations

import ast
import errno
import subprocess
import sys
from pathlib import Path

import pytest

from advisor.kernel.seccomp import can_filter

pytestmark = pytest.mark.skipif(not can_filter(), reason="no filter for this kind of machine")

# Calls each in a process of its own under the filter; prints the error of each, 0 for none.
PROBE = """
import ctypes, os, resource, socket, subprocess, sys, threading, tempfile
from advisor.kernel.seccomp import CallFilter, filter_calls
from advisor.kernel.system_calls import this_architecture
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = this_architecture().numbers
target, folder = int(sys.argv[1]), sys.argv[2]
NOBODY = 1 << 30  # No process is this user's: a broken filter does no harm.
owner = os.path.join(folder, "file")
def call(name, *arguments):
    ctypes.set_errno(0)
    if libc.syscall(NUMBERS[name], *arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
def of(action):
    try:
        action()
    except OSError as error:
        return error.errno
    return 0
file = os.open(owner + "-2", os.O_RDWR | os.O_CREAT)
filter_calls(CallFilter(**eval(sys.argv[3])))
tries = {
    "limits of another": lambda: resource.prlimit(target, resource.RLIMIT_CPU),
    "own limits": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    "own limits by number": lambda: resource.prlimit(os.getpid(), resource.RLIMIT_CPU),
    "processors of another": lambda: os.sched_setaffinity(target, os.sched_getaffinity(0)),
    "own processors": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
    "scheduler of another": lambda: os.sched_setscheduler(target, 0, os.sched_param(0)),
    "priority of another": lambda: os.setpriority(os.PRIO_PROCESS, target, 19),
    "priority of the user": lambda: os.setpriority(os.PRIO_USER, NOBODY, 19),
    "own priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 5),
    "i/o of another": lambda: call("ioprio_set", 1, target, 3 << 13),
    "i/o of the user": lambda: call("ioprio_set", 3, NOBODY, 3 << 13),
    "compare": lambda: call("kcmp", target, os.getpid(), 0, 0, 0),
    "read memory": lambda: call("process_vm_readv", target, 0, 0, 0, 0, 0),
    "advise": lambda: call("process_madvise", -1, 0, 0, 0, 0),
    "trace": lambda: call("ptrace", 16, target, 0, 0),
    "descriptors of another": lambda: call("pidfd_getfd", 0, 0, 0),
    "keys": lambda: call("keyctl", 0, -4, 1),
    "a key": lambda: call("add_key", b"user", b"x", b"x", 1, -4),
    "user namespace": lambda: call("unshare", 0x10000000),
    "user namespace by clone": lambda: call("clone", 0x10000000 | 17, 0, 0, 0, 0),
    "clone3": lambda: call("clone3", 0, 0),
    "mount": lambda: call("mount", b"none", b"/mnt", b"tmpfs", 0, 0),
    "open tree": lambda: call("open_tree", -100, b"/", 0),
    "bpf": lambda: call("bpf", 0, 0, 0),
    "by handle": lambda: call("open_by_handle_at", 0, 0, 0),
    "rings": lambda: call("io_uring_setup", 8, 0),
    "all events": lambda: call("fanotify_init", 0, 0),
    "System V memory": lambda: call("shmget", 0, 4096, 0o1600),
    "System V semaphores": lambda: call("semget", 0, 1, 0o1600),
    "messages": lambda: call("msgget", 0, 0o1600),
    "asynchronous i/o": lambda: call("io_setup", 1, ctypes.create_string_buffer(8)),
    "hide": lambda: libc.prctl(4, 0) and (_ for _ in ()).throw(OSError(ctypes.get_errno(), "")),
    "memory file": lambda: os.memfd_create("x"),
    "watch": lambda: call("inotify_init1", 0),
    "mode": lambda: os.chmod(owner, 0o600),
    "owner": lambda: os.chown(owner, os.geteuid(), os.getegid()),
    "time": lambda: os.utime(owner, (1, 1)),
    "attribute": lambda: os.setxattr(owner, "user.x", b"y"),
    "room beyond the end": lambda: call("fallocate", file, 1, 0, 4096),
    "room": lambda: call("fallocate", file, 0, 0, 4096),
    "internet": lambda: socket.socket().close(),
    "datagrams": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close(),
    "local sockets": lambda: socket.socketpair()[0].close(),
    "thread": lambda: (lambda t: (t.start(), t.join()))(threading.Thread(target=int)),
    "process": lambda: subprocess.run(["true"], check=True),
}
print({name: of(action) for name, action in tries.items()})
"""

ALLOWED = {"own limits", "own limits by number", "own processors", "own priority", "local sockets",
           "room", "thread", "process"}  # fmt: skip
OF_OTHERS = {"limits of another", "processors of another", "scheduler of another",
             "priority of another", "priority of the user", "i/o of another",
             "i/o of the user"}  # fmt: skip
OF_FILES = {"mode", "owner", "time", "attribute", "watch"}


def probe(folder: Path, **allowed: bool) -> dict[str, int]:
    (folder / "file").touch(mode=0o640)
    with subprocess.Popen(["sleep", "60"]) as target:
        command = [sys.executable, "-c", PROBE, str(target.pid), str(folder), repr(allowed)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        target.kill()
    found: dict[str, int] = ast.literal_eval(done.stdout)
    return found


def test_nothing_reaches_other_processes_namespaces_or_keys(tmp_path: Path) -> None:
    found = probe(tmp_path)
    assert {name for name in ALLOWED if found[name]} == set()
    passed = {name for name, number in found.items() if not number} - ALLOWED
    assert passed == {"mode", "owner", "time"}
    assert found["internet"] == found["datagrams"] == errno.EACCES
    assert found["room beyond the end"] == errno.EOPNOTSUPP
    absent = {name for name, number in found.items() if number == errno.ENOSYS}
    assert absent == {"clone3", "rings", "System V memory", "System V semaphores", "messages",
                      "asynchronous i/o", "memory file", "watch"}  # fmt: skip


def test_modes_and_times_are_answered_and_not_changed(tmp_path: Path) -> None:
    found = probe(tmp_path)
    status = (tmp_path / "file").stat()
    assert (found["mode"], found["time"], found["attribute"]) == (0, 0, errno.EOPNOTSUPP)
    assert (status.st_mode & 0o777, status.st_mtime > 1) == (0o640, True)


def test_what_a_namespace_bounds_is_left_to_it(tmp_path: Path) -> None:
    found = probe(tmp_path, has_own_pids=True, has_own_files=True, allow_memory_files=True)
    assert errno.ENOSYS not in {found[name] for name in (*OF_FILES, "memory file")}
    assert (tmp_path / "file").stat().st_mtime == 1
    assert {found[name] for name in OF_OTHERS} == {0, errno.ESRCH}
    kept = ("keys", "user namespace", "user namespace by clone")
    assert {found[name] for name in kept} == {errno.EPERM}


def test_the_network_can_be_left_open(tmp_path: Path) -> None:
    found = probe(tmp_path, allow_network=True)
    assert (found["internet"], found["datagrams"]) == (0, 0)
