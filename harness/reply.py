# SPDX-License-Identifier: GPL-2.0-only
"""What a host answers is foreign: it has to have the form that is expected before it is shown."""

from __future__ import annotations

from typing import TypeVar

from harness.command import printable
from harness.errors import Failure, RemoteError, UserError
from harness.model import Model

M = TypeVar("M", bound=Model)


def line(value: object) -> object:
    """For a validator: a text without control characters."""
    return printable(value) if isinstance(value, str) else value


def lines(value: object) -> object:
    """The same for a text of many lines."""
    return printable(value, keep="\n\t") if isinstance(value, str) else value


def understand(model: type[M], value: object, what: str) -> M:
    """The answer; raises `RemoteError` where it is none."""
    try:
        return model.parse(value, what)
    except UserError as error:
        first = printable(error.what.partition("\n")[0])[:200]
        raise RemoteError(Failure.BAD_ANSWER, f"its {what} is not one: {first}") from None
