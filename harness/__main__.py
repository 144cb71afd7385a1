# SPDX-License-Identifier: GPL-2.0-only
"""``python -m harness``, and the command `harness`: the first lines of ours that run."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType


def leave(status: int) -> Callable[[int, FrameType | None], None]:
    """What a signal does that finds nothing to put in order: the end, at once and in silence."""
    return lambda number, frame: os._exit(status)


def start() -> int:
    """`harness.cli.main`, also where Ctrl-C comes before it, or after it."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # ignored, under nohup
        from harness.cli import main

        return main()
    signal.signal(signal.SIGINT, leave(130))
    from harness.cli import main

    status = main(begin=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    signal.signal(signal.SIGINT, leave(status))
    return status


if __name__ == "__main__":
    sys.exit(start())
