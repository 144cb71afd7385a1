# SPDX-License-Identifier: GPL-2.0-only
"""What the harness logs, for tests to look at."""

import contextlib
import logging


class _Collects(logging.Handler):
    def __init__(self, said):
        super().__init__()
        self._said = said

    def emit(self, record):
        self._said.append(record.getMessage())
        print(record.getMessage(), flush=True)


@contextlib.contextmanager
def collected(said):
    """Appends each message of the harness to `said`, from any thread, while this is open."""
    logger, handler = logging.getLogger("harness"), _Collects(said)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
