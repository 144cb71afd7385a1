# SPDX-License-Identifier: GPL-2.0-only
"""The executor for many hosts: each block is a task of Dask, whose resources say what it needs.

Dask chooses the host. What counts is ours: the ledger has an attempt before its host begins, and
its fate after its runs are taken in. A block whose host lost its worker is asked for there again,
where it is under way or done; one that failed goes back to the queue, and to another host first.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import logging
import platform
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from distributed import Client, Future, KilledWorker

from harness.errors import Failure, HarnessError, RemoteError
from harness.hosts import block as blocks
from harness.hosts.cluster import Resources, Source
from harness.hosts.intake import take_in
from harness.hosts.inventory import Need, choose
from harness.hosts.pool import (
    CALL_S,
    TURN_S,
    LostError,
    Pool,
    Worker,
    only,
    resources,
    scheduler_gone,
)
from harness.model import Block, Run
from harness.results import Fate, LedgerEntry
from harness.run import Job
from harness.text import one_line

log = logging.getLogger(__name__)

PUTS = 4
"""Files that are under way to hosts at once; each is in memory then."""
AHEAD = 2
"""Tasks for each host that fits: one waits there while another runs."""

SLOWEST = 100_000
"""Bytes a second that a file has to be sent with at least."""

Task = Callable[[str, str], bytes]


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and how long."""

    attempts: int = 3
    """at one block, on any host"""
    failures: int = 3
    """of one host in a row, before it is set aside"""
    margin_s: float = 120.0
    """beyond the deadline of a block: to bring things there and back"""


@dataclass(frozen=True)
class Hosts:
    """Boots blocks on hosts, wherever their workers come from."""

    source: Source
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    task: Task = blocks.boot_block

    async def execute(self, job: Job) -> None:
        """Returns when every block is booted; raises `HarnessError` where one could not be."""
        work = Work(self, job)
        async with self.source.connect(work.names, work.no_worker) as client:
            await work.run(client)


@dataclass(frozen=True)
class Arrival:
    """What a task says when it is on a host."""

    name: str
    address: str
    lacks: tuple[str, ...]
    """files that are not there"""
    trouble: str
    """why it could not look"""


@dataclass
class Attempt:
    """One at a block. The host knows it by its name, and so does its fate."""

    block: Block
    name: str
    home: str = ""
    """the host that had it when somebody was stopped, and is to have it again"""
    lost: LedgerEntry | None = None
    """what the ledger says of it then"""
    host: str = ""
    """where it has begun"""
    address: str = ""
    entry: int = 0
    """its number in the ledger"""
    pins: bool = False
    """whether a task can be bound to that host"""
    over: bool = False
    """whether its results have come"""
    limit: asyncio.Timeout | None = None
    arrivals: asyncio.Queue[Arrival] = field(default_factory=asyncio.Queue)
    """what its tasks say of where they are"""


class _NowhereError(Exception):
    """No worker that could have a task is there now."""


class Work:
    """One job: what is left of it, and what its attempts have come to."""

    def __init__(self, hosts: Hosts, job: Job) -> None:
        self._source, self._policy = hosts.source, hosts.policy
        self._task, self._job = hosts.task, job
        self._lock = blocks.PackedLock.of(job.session.lock)
        self._pool = Pool(hosts.source, self._policy.failures, self._owner, self._alive)
        self._needs = {block.key: need_of(job, block) for block in job.blocks}
        self._fits = self._who_fits()
        self._lost = last_lost(job.ledger.read()[0])
        self._todo: defaultdict[Need, deque[Block]] = defaultdict(deque)
        # Those that were under way come first: their hosts may have them done.
        for block in sorted(job.blocks, key=lambda block: block.key not in self._lost):
            self._todo[self._needs[block.key]].append(block)
        self._tries: Counter[str] = Counter()
        self._failed_on: defaultdict[str, set[str]] = defaultdict(set)
        self._given_up: list[str] = []
        self._open: dict[str, Attempt] = {}
        self._tasks: dict[asyncio.Task[None], Attempt] = {}
        self._puts = asyncio.Semaphore(PUTS)
        self._numbers = itertools.count(1)
        self._background: list[asyncio.Task[None]] = []

    @property
    def names(self) -> Collection[str]:
        """The hosts that are good for anything, where they are known."""
        return sorted({name for names in (self._fits or {}).values() for name in names})

    async def run(self, client: Client) -> None:
        """Until every block is booted, or given up."""
        self._client = client
        self._pool.connect(client)
        client.subscribe_topic(blocks.TOPIC, self._arrived)
        told = False
        try:
            while self._tasks or self._hopes():
                await self._source.tend()
                await self._pool.look()
                self._begin_more()
                if not self._tasks and not told:
                    log.info("waits for a worker that fits")
                    told = True
                await self._turn()
        finally:
            for task in self._tasks:
                task.cancel()
            self._pool.close()
        queued = [block.key for queue in self._todo.values() for block in queue]
        if left := [*self._given_up, *queued]:
            raise HarnessError(
                f"{len(left)} block(s) could not be booted anywhere: {', '.join(left[:5])}",
                remedy="`harness hosts check`; the ledger says what went wrong; start again",
            )

    def no_worker(self, host: str, why: str) -> None:
        """A host has no worker now; one that has a block has as long as the block has."""
        log.warning(f"{host}: {why}; tries again")
        if not any(attempt.host == host for attempt in self._open.values()):
            self._pool.blame(host)

    def _who_fits(self) -> dict[Need, frozenset[str]] | None:
        """Hosts by what is needed, where they are known; raises `UserError` where none fits."""
        if not (inventory := self._source.inventory):
            return None
        return {n: frozenset(choose(inventory.hosts, n)) for n in set(self._needs.values())}

    def _hopes(self) -> bool:
        """Whether a host may come for anything that is left."""
        needs = [need for need, queue in self._todo.items() if queue]
        if self._fits is None:
            return bool(needs)
        return any(self._pool.trusts(host) for need in needs for host in self._fits[need])

    async def _turn(self) -> None:
        """Until an attempt has ended, or workers may have changed."""
        waited: list[asyncio.Future[Any]] = [*self._tasks, *self._pool.checks]
        if waited:
            await asyncio.wait(waited, timeout=TURN_S, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(TURN_S)
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            task.result()

    def _begin_more(self) -> None:
        """Has Dask find hosts for as many blocks as there are hosts, and some more."""
        waiting = Counter(self._needs[a.block.key] for a in self._tasks.values() if not a.home)
        for need, queue in self._todo.items():
            fits = len(self._pool.fitting(resources(need)))
            room = AHEAD * fits - waiting[need]
            held = []
            while queue and (room > 0 or queue[0].key in self._lost):
                block = queue.popleft()
                if self._waits(block):
                    held.append(block)
                    continue
                attempt = self._attempt(block)
                room -= not attempt.home
                self._open[attempt.name] = attempt
                self._tasks[asyncio.create_task(self._serve(attempt))] = attempt
            queue.extend(held)

    def _waits(self, block: Block) -> bool:
        """Whether hosts that have not failed at a block may come, and none of them is here."""
        if not (bad := self._failed_on[block.key]) or self._fits is None:
            return False
        others = {h for h in self._fits[self._needs[block.key]] - bad if self._pool.trusts(h)}
        return bool(others) and others.isdisjoint(w.host for w in self._pool.workers.values())

    def _attempt(self, block: Block) -> Attempt:
        """The next one at a block: the last one, where its host may still have that."""
        lost = self._lost.pop(block.key, None)
        if lost and self._expects(lost.host):
            return Attempt(block, lost.task, home=lost.host, lost=lost)
        number = self._job.ledger.upcoming(block.key)
        return Attempt(block, f"{self._owner}-{_folder(block, number)}")

    def _expects(self, host: str) -> bool:
        """Whether the very host may come."""
        here = self._pool.fitting(only(host))
        return self._pool.trusts(host) and (bool(here) or host in self.names)

    def _alive(self) -> set[str]:
        """The attempts that are under way, or may be on a host that somebody lost."""
        return {*self._open, *(entry.task for entry in self._lost.values())}

    @cached_property
    def _owner(self) -> str:
        """The lock and this results folder: another one of the same lock has blocks of its own."""
        place = f"{platform.node()}:{self._job.results.path.resolve()}"
        return f"{self._lock.hash}-{hashlib.sha256(place.encode()).hexdigest()[:12]}"

    async def _serve(self, attempt: Attempt) -> None:
        """One attempt, from asking for a host to the end in the ledger."""
        block, again = attempt.block, self._todo[self._needs[attempt.block.key]]
        try:
            runs = await self._carry(attempt)
        except _NowhereError:
            if attempt.lost:  # its host may still have it
                self._lost[block.key] = attempt.lost
            again.appendleft(block)
        except RemoteError as error:
            log.warning(f"{block.key} failed on {attempt.host}: {error.what}")
            self._end(attempt, Fate.FAILED, detail=f"{error.failure}: {error.what}")
            self._tries[block.key] += 1
            self._failed_on[block.key].add(attempt.host)
            if self._tries[block.key] < self._policy.attempts:
                again.append(block)
            else:
                self._given_up.append(block.key)
            self._pool.blame(attempt.host)
        else:
            for slot, run in zip(block.slots, runs, strict=True):
                self._job.tell(slot, run)
            ids = {run.run_id: str(run.judgement.outcome) for run in runs}
            self._end(attempt, Fate.DONE, runs=ids)
            self._pool.praise(attempt.host)
        finally:
            del self._open[attempt.name]
        await self._leave(attempt)

    def _end(
        self, attempt: Attempt, fate: Fate, detail: str = "", runs: dict[str, str] | None = None
    ) -> None:
        key, entry, host = attempt.block.key, attempt.entry, attempt.host
        self._job.ledger.end(key, entry, host, fate, detail=detail, runs=runs)

    async def _leave(self, attempt: Attempt) -> None:
        """What its host has of it is removed; a task of it that waits to begin ends."""
        while not attempt.arrivals.empty():
            await self._dismiss(attempt.arrivals.get_nowait())
        if attempt.over:
            with contextlib.suppress(RemoteError, LostError):
                await self._pool.call(attempt.address, blocks.forget, attempt.name)

    async def _dismiss(self, here: Arrival) -> None:
        with contextlib.suppress(RemoteError, LostError):
            await self._pool.call(here.address, blocks.order, here.name, None)

    async def _carry(self, attempt: Attempt) -> list[Run]:
        """There and back, through as many tasks as it takes."""
        block, job = attempt.block, self._job
        seconds = sum(map(job.seconds, block.slots))
        plan, files = blocks.pack(job.session, self._lock, block, job.force, seconds)
        try:
            async with asyncio.timeout(None) as attempt.limit:
                while True:
                    try:
                        archived = await self._ask(attempt, plan, files)
                        break
                    except LostError as lost:
                        why = one_line(f"its worker was lost: {lost}", 300) or ""
                        if attempt.host and not attempt.pins:
                            raise RemoteError(Failure.CLOSED, why) from None
                        if attempt.host:
                            log.info(f"{attempt.host}: {why}; {block.key} waits")
                    await asyncio.sleep(TURN_S)
        except TimeoutError:
            what = "has no outcome by the deadline of its block"
            raise RemoteError(Failure.COMMAND, what) from None
        attempt.over = True
        try:
            name = attempt.name.removeprefix(f"{self._owner}-")
            words = job.results, self._lock.hash, block.slots, archived, name
            return await asyncio.to_thread(take_in, *words)
        except HarnessError:
            raise
        except Exception as error:  # of a host, whatever it is
            said = one_line(f"its results stop our reader: {type(error).__name__}: {error}", 300)
            raise RemoteError(Failure.BAD_ANSWER, said or "") from None

    async def _ask(self, attempt: Attempt, plan: blocks.Plan, files: blocks.Files) -> object:
        """What one task brings back; raises `LostError` where its worker was lost on the way."""
        asked, workers = self._where(attempt)
        future: Future[bytes] = self._client.submit(
            self._task,
            attempt.name,
            plan.model_dump_json(),
            key=f"{attempt.name}#{next(self._numbers)}",
            resources=asked,
            workers=workers,
            retries=0,  # the ledger has to know of each
            pure=False,
        )
        result = asyncio.ensure_future(cast(Awaitable[bytes], future.result()))
        try:
            while not result.done():
                await self._hear(attempt, result, plan, files)
                if not (attempt.host or result.done() or self._may_come(attempt, asked, workers)):
                    raise _NowhereError
            if result.cancelled():
                raise scheduler_gone()
            return result.result()
        except KilledWorker:
            raise LostError("it ended") from None
        except (HarnessError, _NowhereError, LostError):
            raise
        except Exception as error:  # of a host, whatever it is
            what = one_line(f"its task: {type(error).__name__}: {error}", 300) or ""
            if not attempt.host:
                log.info(f"{attempt.block.key} has not begun: {what}")
                raise _NowhereError from None
            raise RemoteError(Failure.COMMAND, what) from None
        finally:
            result.cancel()
            future.release()

    def _where(self, attempt: Attempt) -> tuple[Resources, list[str] | None]:
        """What a worker has to declare; and which workers, where some have failed at the block."""
        if home := attempt.home or attempt.host:
            return {"host": 1} | only(home), None
        asked, bad = resources(self._needs[attempt.block.key]), self._failed_on[attempt.block.key]
        others = [a for a, w in self._pool.fitting(asked).items() if w.host not in bad]
        return asked, others if bad and others else None

    def _may_come(self, attempt: Attempt, asked: Resources, workers: list[str] | None) -> bool:
        """Whether a worker that could have the task is there, or will be."""
        if attempt.home:
            return self._expects(attempt.home)
        there = self._pool.fitting(asked)
        return any(workers is None or address in workers for address in there)

    async def _hear(
        self,
        attempt: Attempt,
        result: asyncio.Future[bytes],
        plan: blocks.Plan,
        files: blocks.Files,
    ) -> None:
        """Waits for the end of a task, for word of where it is, or for a moment."""
        arrival = asyncio.ensure_future(attempt.arrivals.get())
        try:
            both: list[asyncio.Future[Any]] = [result, arrival]
            await asyncio.wait(both, timeout=TURN_S, return_when=asyncio.FIRST_COMPLETED)
            if not arrival.done():
                return
            here = arrival.result()
            if result.done():
                attempt.arrivals.put_nowait(here)  # it is told when the attempt is left
            else:
                try:
                    await self._begin(attempt, here, plan, files)
                except BaseException:
                    # Else it would wait for long, and its host with it.
                    self._background.append(asyncio.create_task(self._dismiss(here)))
                    raise
        finally:
            arrival.cancel()

    async def _begin(
        self, attempt: Attempt, here: Arrival, plan: blocks.Plan, files: blocks.Files
    ) -> None:
        """Has a host begin, once the ledger has it and all that it lacks is there."""
        address = here.address
        worker = await self._pool.find(address)
        if not worker or attempt.host not in ("", worker.host):
            raise LostError("its task is elsewhere" if worker else "it is not known yet")
        if not attempt.host:
            self._write_down(attempt, worker)
            self._give_time(attempt, plan)
        if here.trouble:
            raise RemoteError(Failure.COMMAND, (one_line(here.trouble, 300) or ""))
        for sha256 in here.lacks:
            async with self._puts:
                content = files[sha256]
                data = content if isinstance(content, bytes) else content.read_bytes()
                limit_s = CALL_S + len(data) / SLOWEST
                await self._pool.call(address, blocks.put, sha256, data, limit_s=limit_s)
        if not attempt.address:
            self._give_time(attempt, plan)
        attempt.address = address
        lent = worker.cores, int(worker.resources.get("memory", 0))
        if not await self._pool.call(address, blocks.order, attempt.name, lent):
            raise LostError("its task is gone")

    def _write_down(self, attempt: Attempt, worker: Worker) -> None:
        key, host = attempt.block.key, worker.host
        attempt.entry = self._job.ledger.begin(key, host, attempt.name)
        attempt.host, attempt.pins = host, worker.fits(only(host))
        number = attempt.name.rpartition("-")[2]
        how = "is taken up again on" if attempt.home else "goes to"
        log.info(f"{key} {how} {host}, attempt {number}")

    def _give_time(self, attempt: Attempt, plan: blocks.Plan) -> None:
        """From now on, as long as the block may take; not again where it goes on."""
        assert attempt.limit
        end = asyncio.get_running_loop().time() + plan.seconds + self._policy.margin_s
        attempt.limit.reschedule(end)

    async def _arrived(self, event: tuple[float, object]) -> None:
        """A task says where it is."""
        match event[1]:
            case {"block": str(name), "address": str(address), "trouble": str(trouble), **more}:
                lacks = more.get("lacks")
                words = map(str, lacks) if isinstance(lacks, list | tuple) else ()
                here = Arrival(name, address, tuple(words), trouble)
                if attempt := self._open.get(name):
                    attempt.arrivals.put_nowait(here)
                else:
                    await self._dismiss(here)


def last_lost(entries: Sequence[LedgerEntry]) -> dict[str, LedgerEntry]:
    """By block, the last attempt, where it was lost with whoever watched it."""
    last = {entry.block: entry for entry in entries if entry.fate}
    return {b: e for b, e in last.items() if e.fate == Fate.LOST and e.task}


def need_of(job: Job, block: Block) -> Need:
    """What a block asks of its host."""
    accel = "tcg" if block.clock == "work" else job.session.lock.environment.accel
    return Need(max(map(job.need, block.slots)), accel, job.session.experiment.host_labels)


def _folder(block: Block, number: int) -> str:
    return f"{block.key.replace('/', '-')}-{number}"
