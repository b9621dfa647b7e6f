# Runs a program in a host of a laboratory. SPDX-License-Identifier: LGPL-2.1-or-later
"""usage: enter.py PID HOST PROGRAM [ARGUMENT ...]

PID is the laboratory's first process. The program gets the host's network and the laboratory's
mounts and pids; descriptors, environment and working directory stay. Signals that ask for an end
are passed on, the exit status is the program's."""

import ctypes
import os
import signal
import sys

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS = 0x20000
_PR_SET_PDEATHSIG = 1
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
              signal.SIGUSR2)


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def join(pid, host):
    # All are opened before the first is joined: afterwards the paths mean other things.
    paths = [f"/proc/{pid}/ns/mnt", f"/proc/{pid}/root/run/netns/{host}", f"/proc/{pid}/ns/pid"]
    if os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user"):
        paths.insert(0, f"/proc/{pid}/ns/user")
    here = os.getcwd()
    opened = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in paths]
    for each in opened:
        checked(_libc.setns(each, 0))
        os.close(each)
    os.chdir(here)


def fresh_sys():
    """Programs that list interfaces from /sys must see the host's; where the kernel refuses the
    mount they see none of it, and there is no harm for the others."""
    if _libc.unshare(_CLONE_NEWNS) == 0:
        _libc.mount(b"none", b"/", None, 1 << 14 | 1 << 19, None)      # MS_REC | MS_SLAVE
        _libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    try:
        join(int(sys.argv[1]), sys.argv[2])
    except OSError as error:
        sys.exit(f"enter: no host {sys.argv[2]} in a laboratory of pid {sys.argv[1]}: {error}")
    # When the world outside ends suddenly, the laboratory does, and the program with it. We stay to
    # take its status: a zombie left to the machine's init would keep the laboratory half alive.
    _libc.prctl(_PR_SET_PDEATHSIG, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    # Joining a pid namespace holds for children only.
    child = os.fork()
    if child == 0:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        fresh_sys()
        try:
            os.execvp(sys.argv[3], sys.argv[3:])
        except OSError as error:
            os.write(2, f"enter: {sys.argv[3]}: {error.strerror}\n".encode())
            os._exit(127)
    for number in _PASSED_ON:
        signal.signal(number, lambda got, _: os.kill(child, got))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        signal.signal(number, signal.SIG_DFL) if number != signal.SIGKILL else None
        os.kill(os.getpid(), number)
    sys.exit(os.waitstatus_to_exitcode(status))


main()
