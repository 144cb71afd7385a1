# SPDX-License-Identifier: GPL-2.0-only
"""Other programs: run with a list of arguments, in the C locale, with an error that says enough."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.errors import HostError

PACKAGES = {
    "apt-cache": "apt",
    "apt-get": "apt",
    "bc": "bc",
    "bison": "bison",
    "clang": "clang",
    "busybox": "busybox-static",
    "diff": "diffutils",
    "dpkg": "dpkg",
    "dpkg-deb": "dpkg",
    "flex": "flex",
    "gcc": "gcc",
    "git": "git",
    "ld": "binutils",
    "ld.lld": "lld",
    "make": "make",
    "objdump": "binutils",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-system-aarch64": "qemu-system-arm",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu",
    "aarch64-linux-gnu-ld": "binutils-aarch64-linux-gnu",
}
"""The Debian package that brings a program."""

_PR_SET_PDEATHSIG = 1  # include/uapi/linux/prctl.h
_libc = ctypes.CDLL(None, use_errno=True)

PASSED = ("PATH", "HOME", "TMPDIR", "CCACHE_RECACHE")
"""What a program that makes bytes may know of our shell: where programs and scratch space are."""

TAIL = 12
"""Lines of a program's complaint that an error shows."""


def environment() -> dict[str, str]:
    """The environment of what makes bytes that are named by their inputs: named variables only.

    CFLAGS, CPATH, LLVM, SOURCE_DATE_EPOCH, LD_PRELOAD and their like stay outside.
    """
    return {name: os.environ[name] for name in PASSED if name in os.environ} | {"LC_ALL": "C"}


def missing(program: str) -> HostError:
    """The error for a program that this host does not have."""
    package = PACKAGES.get(program, program)
    return HostError(f"{program} is not installed", remedy=f"apt-get install {package}")


def bound(last: signal.Signals) -> Callable[[], None]:
    """What a child runs before its program, so that it gets the signal `last` when we are gone."""
    parent = os.getpid()

    def bind() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(last), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return bind


def run(
    argv: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
    check: bool = True,
    timeout_s: float | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Runs a program to its end and keeps what it printed.

    `env` replaces this process's environment. Raises `HostError` when the program is not there
    or, with `check`, when it fails; the error carries the command line and the last lines printed.
    One that runs for more than `timeout_s` is killed, and has failed.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**(os.environ if env is None else env), "LC_ALL": "C"},
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        raise HostError(f"took more than {timeout_s:.0f} s", where=shlex.join(words)) from None
    except FileNotFoundError as error:
        if error.filename != words[0]:
            raise
        raise missing(words[0]) from None
    if check and done.returncode:
        raise failed(words, done.returncode, done.stderr or done.stdout)
    return done


def failed(argv: Sequence[str], code: int, said: bytes) -> HostError:
    """The error for a program that ended with `code` after saying `said`."""
    how = f"killed by signal {-code}" if code < 0 else f"exit status {code}"
    lines = said.decode("utf-8", "replace").strip().splitlines()[-TAIL:]
    return HostError("\n  ".join([f"{how}:", *lines]), where=shlex.join(argv))
