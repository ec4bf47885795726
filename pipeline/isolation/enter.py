# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The program that runs one command behind a wall: enter.py ORDER [NAME=VALUE]... COMMAND...

ORDER is JSON, as ``order.Order`` makes it. The command gets the given environment, and
the status is the command's, as a shell counts it; it is 125 if no wall could be built.

It is started as a file, by the Python that runs respin. The first process makes namespaces and
waits; the second is process 1 in them: it makes the mounts, enters the new root, gives up its
rights, and starts the command as the third. Root makes namespaces and mounts as root and enters
a user namespace last: the id that it has there cannot reach the cache, and may change nothing in
namespaces that it did not make. An ordinary user has to begin with the user namespace.
"""

from __future__ import annotations

import json
import os
import signal
import sys

if __name__ == "__main__":
    # Started as a file, this is not part of a package yet.
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from pipeline.isolation import calls, mounts, rights

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

NOT_BUILT = 125
NOT_EXECUTABLE, NOT_FOUND = 126, 127  # as env(1) has it


class EnteredWall:
    """What was ordered, with what had to be opened while the caller's files were visible."""

    def __init__(self, order: dict[str, Any]) -> None:
        """Open them. Raises OSError."""
        self.order = order
        self.root = os.geteuid() == 0
        """Whether root builds it."""
        self.filter = None
        if order["filter"]:
            with open(order["filter"], "rb") as f:
                self.filter = f.read()
        read = os.O_RDONLY | calls.CLOEXEC
        self.copies = [(os.open(host, read), inside) for host, inside in order["copies"]]
        self.mark = None
        if order["mark"]:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | calls.CLOEXEC
            self.mark = os.open(order["mark"], flags, 0o600)


def first(wall: EnteredWall, words: Sequence[str]) -> int:
    """Make the namespaces, start process 1 in them, and return its status."""
    order, parent = wall.order, os.getppid()
    os.umask(0o022)
    if not order["namespaces"]:
        return shared(wall, words)
    if not wall.root:
        rights.enter_user_namespace(order["ids"])
        rights.end_with(parent)
    flags = calls.NEWNS | calls.NEWPID | calls.NEWIPC | calls.NEWUTS
    calls.call("unshare", flags | (0 if order["network"] else calls.NEWNET))
    alive, ours = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        os._exit(guarded(lambda: second(wall, alive, words)))
    os.close(alive)
    return ended(os.waitpid(child, 0)[1], same=True)


def second(wall: EnteredWall, alive: int, words: Sequence[str]) -> int:
    """As process 1: make what is seen, start the command, and return its status.

    ``alive`` is at its end if the first process ended before the kernel was told to end this
    one with it; its parent has no number in here.
    """
    order = wall.order
    rights.end_with()
    os.set_blocking(alive, False)
    try:
        os.read(alive, 1)
        return NOT_BUILT
    except BlockingIOError:
        os.close(alive)
    os.setsid()
    # If memory runs out, this is the first to go (proc(5)).
    with open("/proc/self/oom_score_adj", "w") as f:
        f.write("1000")
    mounts.build(order, wall.copies, root=wall.root)
    if order["ids"] and (wall.root or order["mounts"]):
        # A command that may mount gets mounts of its own; the earlier ones are locked there.
        ids = order["ids"] if wall.root else rights.same(order["ids"])
        rights.enter_user_namespace(ids, calls.NEWNS if order["mounts"] else 0)
        rights.become(0, keep_groups=order["kvm"])
        rights.end_with()
    # Nobody in there may look into this process, which has seen what they must not see.
    calls.prctl(calls.DUMPABLE, 0)
    if order["caps"] is not None:
        rights.drop_capabilities(order["caps"])
    if wall.filter is not None:
        rights.refuse_calls(wall.filter)
    return start(wall, words)


def shared(wall: EnteredWall, words: Sequence[str]) -> int:
    """Run the command where no namespaces are available, and kill what it leaves behind.

    Its processes are known by their user's number, which nothing else in such a container has.
    """
    if wall.filter is not None:
        rights.refuse_calls(wall.filter)
    status = start(wall, words)
    number = wall.order["uid"]
    if number:
        sweeper = os.fork()
        if sweeper == 0:
            rights.become(number)
            os.kill(-1, signal.SIGKILL)
            os._exit(0)
        os.waitpid(sweeper, 0)
    return status


def start(wall: EnteredWall, words: Sequence[str]) -> int:
    """Start the command and return its status; reap whatever lost its parent meanwhile."""
    child = os.fork()
    if child == 0:
        os._exit(guarded(lambda: become(wall, words)))
    while True:
        found, status = os.wait()
        if found == child:
            return ended(status)


def become(wall: EnteredWall, words: Sequence[str]) -> int:
    """Become the command; return a status if it cannot be run."""
    split = next((i for i, word in enumerate(words) if "=" not in word), len(words))
    pairs = [word.partition("=") for word in words[:split]]
    env, argv = dict(os.environ) if wall.order["inherit"] else {}, list(words[split:])
    env.update({name: value for name, _, value in pairs})
    # A shell may let its children ignore signals, and Python ignores two by itself.
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    rights.limit(wall.order["limits"])
    if wall.order["uid"] is not None:
        rights.become(wall.order["uid"], keep_groups=wall.order["kvm"])
    if wall.mark is not None:
        os.write(wall.mark, b"entered\n")
    try:
        if wall.order["directory"]:
            os.chdir(wall.order["directory"])
        execute(argv, env)
    except OSError as e:
        say(f"{argv[0]}: {e.strerror}")
        return NOT_FOUND if isinstance(e, FileNotFoundError) else NOT_EXECUTABLE


def execute(argv: list[str], env: dict[str, str]) -> NoReturn:
    """Execute a program, looked for as execvp(3) does (os.execvpe would import something)."""
    directories = env.get("PATH", "").split(":") if "/" not in argv[0] else [""]
    problem: OSError = FileNotFoundError(2, "No such file or directory")
    for directory in directories:
        try:
            os.execve(os.path.join(directory, argv[0]), argv, env)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as e:
            problem = e
    raise problem


def ended(status: int, *, same: bool = False) -> int:
    """Return a child's status as a shell counts it; with ``same``, end by the same signal."""
    if os.WIFEXITED(status):
        return os.WEXITSTATUS(status)
    number = os.WTERMSIG(status)
    if same:
        os.kill(os.getpid(), number)
    return 128 + number


def say(text: str) -> None:
    """Say something on standard error."""
    os.write(2, f"respin: {text}\n".encode("utf-8", "backslashreplace"))


def guarded(step: Callable[[], int]) -> int:
    """Return what a step returns; if it fails, say why and return NOT_BUILT."""
    try:
        return step()
    except Exception as e:
        say(f"the isolation failed: {e if isinstance(e, OSError) else repr(e)}")
        return NOT_BUILT


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(guarded(lambda: first(EnteredWall(json.loads(sys.argv[1])), sys.argv[2:])))
