# SPDX-License-Identifier: GPL-2.0-only
"""The errors the harness raises on purpose.

    HarnessError
    ├── UserError       the input is wrong: a file, a key, a name, a hunk
    │   ├── SourceError     the base source cannot be had or does not verify
    │   ├── PatchError      a series does not apply, or is applied already
    │   └── ConfigError     fragments disagree, or the kernel dropped an option
    ├── BuildError      the kernel does not compile
    ├── HostError       this host lacks something: a tool, memory, disk
    ├── RemoteError     a host of the inventory cannot be reached, trusted or made to answer
    └── ResultsError    a results folder is locked or damaged
        └── SchemaError     a record is of a schema version that this harness does not read

A boot that fails is none of these: it is an `Outcome` and becomes a row of the dataset.
"""

from __future__ import annotations

from enum import StrEnum


class HarnessError(Exception):
    """An error to show to a person in one screen: what, where, and what to do about it."""

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n  remedy: {self.remedy}" if self.remedy else text


class UserError(HarnessError):
    """The input is wrong."""


class SourceError(UserError):
    """The base source cannot be had, or its bytes are not the ones asked for."""


class PatchError(UserError):
    """A patch of a series does not apply, or is there already."""


class ConfigError(UserError):
    """Fragments disagree, or an option that was asked for is not in the final `.config`."""


class BuildError(HarnessError):
    """The kernel does not compile."""


class HostError(HarnessError):
    """This host lacks a tool, memory, disk or a working accelerator."""


class Failure(StrEnum):
    """Why a host could not be used, for scripts and for counting."""

    NO_SUCH_NAME = "no-such-name"
    UNREACHABLE = "unreachable"
    SILENT = "silent"
    CLOSED = "closed"
    UNKNOWN_KEY = "unknown-host-key"
    CHANGED_KEY = "changed-host-key"
    REVOKED_KEY = "revoked-host-key"
    LOGIN = "login"
    COMMAND = "command"
    BAD_ANSWER = "bad-answer"
    TOO_LARGE = "too-large"


class RemoteError(HarnessError):
    """A host of the inventory cannot be reached, trusted or made to answer."""

    def __init__(
        self,
        failure: Failure,
        what: str,
        *,
        where: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.failure = failure


class ResultsError(HarnessError):
    """A results folder is locked or damaged."""


class SchemaError(ResultsError):
    """A record is whole, but of a schema version that this harness does not read."""
