# SPDX-License-Identifier: GPL-2.0-only
"""What is left to boot of a job on many hosts, who fails at it and how often; for every engine.

The ledger learns of each attempt here: that it begins, before its host can know of it, and what
became of it. A block that fails goes back to the queue, up to a limit; a host that fails too often
in a row gets no more.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.errors import HarnessError, RemoteError
from harness.hosts.inventory import Inventory, Need, choose
from harness.model import Block, Run
from harness.results import Fate, LedgerEntry
from harness.run import Job

MARGIN_S = 120
"""Beyond the deadline of a block: to bring things there and back."""

Log = Callable[[str], None]


@dataclass(frozen=True)
class Patience:
    """How long and how often."""

    attempts: int = 3
    """at one block, on any host"""
    failures: int = 3
    """of one host in a row, before it is set aside"""
    poll_s: float = 4.0
    """that a host waits for the end of a block before it answers that it still runs"""
    margin_s: float = MARGIN_S


@dataclass(frozen=True)
class Attempt:
    """One at a block, on a host."""

    block: Block
    host: str
    entry: int
    """its number in the ledger"""
    number: int
    """the one that the host knows it by: an earlier one, where it is taken up again"""


class Roster:
    """The blocks of a job that are left, and what their attempts have come to."""

    def __init__(self, job: Job, patience: Patience, log: Log) -> None:
        self._job = job
        self._patience = patience
        self._log = log
        self.lost = last_lost(job.ledger.read()[0])
        """host and attempt of each block that was under way when somebody was stopped"""
        # These come last: their host looks for them first.
        self._todo = deque(sorted(job.blocks, key=lambda block: block.key in self.lost))
        self._tries: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._given_up: list[str] = []

    @property
    def todo(self) -> tuple[Block, ...]:
        """What nobody has taken yet."""
        return tuple(self._todo)

    def trusts(self, host: str) -> bool:
        """Whether a host has not failed too often."""
        return self._failures[host] < self._patience.failures

    def take(self, fits: Callable[[Block], bool]) -> Block | None:
        """The first block that fits, which is then nobody else's."""
        at = next((n for n, block in enumerate(self._todo) if fits(block)), None)
        if at is None:
            return None
        block = self._todo[at]
        del self._todo[at]
        return block

    def number(self, block: Block, host: str | None = None) -> int:
        """The number that an attempt will have: an earlier one, where `host` had it then."""
        if host and self.lost.get(block.key, ("", 0))[0] == host:
            return self.lost[block.key][1]
        return self._job.ledger.upcoming(block.key)

    def begin(self, block: Block, host: str, number: int) -> Attempt:
        """Writes down that an attempt begins."""
        entry = self._job.ledger.begin(block.key, host)
        self._tries[block.key] += 1
        if number != entry:
            del self.lost[block.key]
            self._log(f"{block.key} is taken up again on {host}, attempt {number}")
        else:
            self._log(f"{block.key} goes to {host}, attempt {number}")
        return Attempt(block, host, entry, number)

    def done(self, attempt: Attempt, runs: Sequence[Run]) -> None:
        """All boots of the block are in the results folder."""
        for slot, run in zip(attempt.block.slots, runs, strict=True):
            self._job.tell(slot, run)
        ids = {run.run_id: str(run.judgement.outcome) for run in runs}
        self._end(attempt, Fate.DONE, runs=ids)
        self._failures[attempt.host] = 0

    def failed(self, attempt: Attempt, error: RemoteError) -> None:
        """None of them is; the block is tried again, or given up."""
        key, host = attempt.block.key, attempt.host
        self._log(f"{key} failed on {host}: {error.what}")
        self._end(attempt, Fate.FAILED, detail=f"{error.failure}: {error.what}")
        if self._tries[key] < self._patience.attempts:
            self._todo.append(attempt.block)
        else:
            self._given_up.append(key)
        self.blame(host)

    def blame(self, host: str) -> None:
        """A host has failed; once too often, it is set aside for good."""
        self._failures[host] += 1
        if self._failures[host] == self._patience.failures:
            times = self._failures[host]
            self._log(f"{host} is set aside: it failed {times} times in a row")

    def close(self) -> None:
        """Raises `HarnessError` where something could not be booted."""
        if left := [*self._given_up, *(block.key for block in self._todo)]:
            raise HarnessError(
                f"{len(left)} block(s) could not be booted anywhere: {', '.join(left[:5])}",
                remedy="`harness hosts check`; the ledger says what went wrong; start again",
            )

    def _end(
        self, attempt: Attempt, fate: Fate, detail: str = "", runs: dict[str, str] | None = None
    ) -> None:
        key, entry, host = attempt.block.key, attempt.entry, attempt.host
        self._job.ledger.end(key, entry, host, fate, detail=detail, runs=runs)


def last_lost(entries: Sequence[LedgerEntry]) -> dict[str, tuple[str, int]]:
    """Host and attempt of each block whose last attempt was lost with whoever watched it."""
    last = {entry.block: entry for entry in entries if entry.fate}
    return {b: (e.host, e.attempt) for b, e in last.items() if e.fate == Fate.LOST}


def need_of(job: Job, block: Block) -> Need:
    """What a block asks of its host."""
    accel = "tcg" if block.clock == "work" else job.session.lock.environment.accel
    return Need(max(map(job.need, block.slots)), accel, job.session.experiment.host_labels)


def fitting(job: Job, inventory: Inventory) -> dict[str, frozenset[str]]:
    """The hosts that fit each block, by its name; raises `UserError` where none does."""
    known: dict[Need, frozenset[str]] = {}
    found = {}
    for block in job.blocks:
        need = need_of(job, block)
        if need not in known:
            known[need] = frozenset(choose(inventory.hosts, need))
        found[block.key] = known[need]
    return found
