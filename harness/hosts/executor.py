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
import shutil
import time
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from distributed import Client, Future, KilledWorker
from distributed.comm.core import CommClosedError
from pydantic import Field, ValidationError

from harness.errors import Failure, HarnessError, HostError, RemoteError, ResultsError
from harness.hosts import archive
from harness.hosts import block as blocks
from harness.hosts.bootstrap import code
from harness.hosts.cluster import Resources, Source, host_of
from harness.hosts.inventory import Need, choose
from harness.hosts.supervisor import LOG, OUTCOME
from harness.model import Block, Model, Run, Slot
from harness.results import RUN_FILE, Fate, LedgerEntry, read_run
from harness.run import Job
from harness.text import one_line

log = logging.getLogger(__name__)

TURN_S = 1.0
"""Between two looks at what workers there are."""
PUTS = 4
"""Files that are under way to hosts at once; each is in memory then."""
AHEAD = 2
"""Tasks for each host that fits: one waits there while another runs."""

CALL_S = 30.0
"""For what a worker is asked beside its task."""
SLOWEST = 100_000
"""Bytes a second that a file has to be sent with at least."""
RUNS = "results/runs"

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


class Outcome(Model):
    """How a block ended on its host."""

    cause: Literal["ended", "deadline", "no-process", "lost"]
    status: Annotated[int, Field(ge=-255, le=255)]


@dataclass(frozen=True)
class Worker:
    """A worker that there is now, and what its host lends."""

    host: str
    resources: Resources
    cores: int

    def fits(self, asked: Resources) -> bool:
        """Whether Dask would let it have a task."""
        return all(self.resources.get(name, 0) >= amount for name, amount in asked.items())


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


class _LostError(Exception):
    """The worker of a task is gone, or has moved."""


class Work:
    """One job: what is left of it, and what its attempts have come to."""

    def __init__(self, hosts: Hosts, job: Job) -> None:
        self._source, self._policy = hosts.source, hosts.policy
        self._task, self._job = hosts.task, job
        self._lock = blocks.PackedLock.of(job.session.lock)
        self._needs = {block.key: need_of(job, block) for block in job.blocks}
        self._fits = self._who_fits()
        self._lost = last_lost(job.ledger.read()[0])
        self._todo: defaultdict[Need, deque[Block]] = defaultdict(deque)
        # Those that were under way come first: their hosts may have them done.
        for block in sorted(job.blocks, key=lambda block: block.key not in self._lost):
            self._todo[self._needs[block.key]].append(block)
        self._tries: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._failed_on: defaultdict[str, set[str]] = defaultdict(set)
        self._given_up: list[str] = []
        self._workers: dict[str, Worker] = {}
        self._checks: dict[str, asyncio.Task[bool]] = {}
        self._open: dict[str, Attempt] = {}
        self._tasks: dict[asyncio.Task[None], Attempt] = {}
        self._puts = asyncio.Semaphore(PUTS)
        self._next_look = 0.0
        self._numbers = itertools.count(1)
        self._background: list[asyncio.Task[None]] = []

    @property
    def names(self) -> Collection[str]:
        """The hosts that are good for anything, where they are known."""
        return sorted({name for names in (self._fits or {}).values() for name in names})

    async def run(self, client: Client) -> None:
        """Until every block is booted, or given up."""
        self._client = client
        client.subscribe_topic(blocks.TOPIC, self._arrived)
        told = False
        try:
            while self._tasks or self._hopes():
                await self._source.tend()
                await self._look()
                self._begin_more()
                if not self._tasks and not told:
                    log.info("waits for a worker that fits")
                    told = True
                await self._turn()
        finally:
            for task in (*self._tasks, *self._checks.values()):
                task.cancel()
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
            self._blame(host)

    def _who_fits(self) -> dict[Need, frozenset[str]] | None:
        """Hosts by what is needed, where they are known; raises `UserError` where none fits."""
        if not (inventory := self._source.inventory):
            return None
        return {n: frozenset(choose(inventory.hosts, n)) for n in set(self._needs.values())}

    def _trusts(self, host: str) -> bool:
        """Whether a host has not failed too often."""
        return self._failures[host] < self._policy.failures

    def _hopes(self) -> bool:
        """Whether a host may come for anything that is left."""
        needs = [need for need, queue in self._todo.items() if queue]
        if self._fits is None:
            return bool(needs)
        return any(self._trusts(host) for need in needs for host in self._fits[need])

    async def _turn(self) -> None:
        """Until an attempt has ended, or workers may have changed."""
        checks = [check for check in self._checks.values() if not check.done()]
        waited: list[asyncio.Future[Any]] = [*self._tasks, *checks]
        if waited:
            await asyncio.wait(waited, timeout=TURN_S, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(TURN_S)
        for task in [task for task in self._tasks if task.done()]:
            del self._tasks[task]
            task.result()

    async def _look(self) -> None:
        """Who is there, with the very code that runs here; who is not trusted is sent away."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + TURN_S
        try:
            assert self._client.scheduler
            known = (await self._client.scheduler.identity(n_workers=-1))["workers"]
        except OSError:
            raise _gone() from None
        found = {
            address: Worker(
                host_of(worker),
                dict(worker["resources"]),
                int(worker["resources"].get("cores", worker["nthreads"])),
            )
            for address, worker in known.items()
            if "host" in worker["resources"]
        }
        for address, worker in found.items():
            if address not in self._checks:
                check = asyncio.create_task(self._check(address, worker.host))
                self._checks[address] = check
        good = {a for a, check in self._checks.items() if check.done() and check.result()}
        useless = {a for a, check in self._checks.items() if check.done()} - good
        bad = [a for a, w in found.items() if a in useless or not self._trusts(w.host)]
        if bad:
            await self._client.retire_workers(workers=bad)
        self._workers = {a: w for a, w in found.items() if a in good and a not in bad}

    async def _check(self, address: str, host: str) -> bool:
        """Whether a worker has the very code that runs here."""
        try:
            why = "" if await self._call(address, code) == code() else "has another harness"
            if not why:
                alive = {*self._open, *(entry.task for entry in self._lost.values())}
                await self._call(address, blocks.tidy, self._owner, sorted(alive))
        except _LostError:
            self._checks.pop(address, None)  # it may come back
            return False
        except RemoteError as error:
            why = error.what
        if why:
            log.warning(f"{host} is of no use: {why}")
        self._next_look = 0
        return not why

    def _begin_more(self) -> None:
        """Has Dask find hosts for as many blocks as there are hosts, and some more."""
        waiting = Counter(self._needs[a.block.key] for a in self._tasks.values() if not a.home)
        for need, queue in self._todo.items():
            fits = sum(worker.fits(resources(need)) for worker in self._workers.values())
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
        others = {h for h in self._fits[self._needs[block.key]] - bad if self._trusts(h)}
        return bool(others) and others.isdisjoint(w.host for w in self._workers.values())

    def _attempt(self, block: Block) -> Attempt:
        """The next one at a block: the last one, where its host may still have that."""
        lost = self._lost.pop(block.key, None)
        if lost and self._expects(lost.host):
            return Attempt(block, lost.task, home=lost.host, lost=lost)
        number = self._job.ledger.upcoming(block.key)
        return Attempt(block, f"{self._owner}-{_folder(block, number)}")

    def _expects(self, host: str) -> bool:
        """Whether the very host may come."""
        here = any(worker.fits(only(host)) for worker in self._workers.values())
        return self._trusts(host) and (here or host in self.names)

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
            self._blame(attempt.host)
        else:
            for slot, run in zip(block.slots, runs, strict=True):
                self._job.tell(slot, run)
            ids = {run.run_id: str(run.judgement.outcome) for run in runs}
            self._end(attempt, Fate.DONE, runs=ids)
            self._failures[attempt.host] = 0
        finally:
            del self._open[attempt.name]
        await self._leave(attempt)

    def _end(
        self, attempt: Attempt, fate: Fate, detail: str = "", runs: dict[str, str] | None = None
    ) -> None:
        key, entry, host = attempt.block.key, attempt.entry, attempt.host
        self._job.ledger.end(key, entry, host, fate, detail=detail, runs=runs)

    def _blame(self, host: str) -> None:
        """A host has failed; once too often, it is set aside for good."""
        self._failures[host] += 1
        if self._failures[host] == self._policy.failures:
            log.warning(f"{host} is set aside: it failed {self._failures[host]} times in a row")
            self._next_look = 0
            self._background.append(asyncio.create_task(self._source.drop(host)))

    async def _leave(self, attempt: Attempt) -> None:
        """What its host has of it is removed; a task of it that waits to begin ends."""
        while not attempt.arrivals.empty():
            await self._dismiss(attempt.arrivals.get_nowait())
        if attempt.over:
            with contextlib.suppress(RemoteError, _LostError):
                await self._call(attempt.address, blocks.forget, attempt.name)

    async def _dismiss(self, here: Arrival) -> None:
        with contextlib.suppress(RemoteError, _LostError):
            await self._call(here.address, blocks.order, here.name, None)

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
                    except _LostError as lost:
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
            return await asyncio.to_thread(self._take_in, attempt, archived)
        except HarnessError:
            raise
        except Exception as error:  # of a host, whatever it is
            said = one_line(f"its results stop our reader: {type(error).__name__}: {error}", 300)
            raise RemoteError(Failure.BAD_ANSWER, said or "") from None

    async def _ask(self, attempt: Attempt, plan: blocks.Plan, files: blocks.Files) -> object:
        """What one task brings back; raises `_LostError` where its worker was lost on the way."""
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
                raise _gone()
            return result.result()
        except KilledWorker:
            raise _LostError("it ended") from None
        except (HarnessError, _NowhereError, _LostError):
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
        others = [a for a, w in self._workers.items() if w.fits(asked) and w.host not in bad]
        return asked, others if bad and others else None

    def _may_come(self, attempt: Attempt, asked: Resources, workers: list[str] | None) -> bool:
        """Whether a worker that could have the task is there, or will be."""
        if attempt.home:
            return self._expects(attempt.home)
        there = self._workers.items()
        return any(w.fits(asked) for a, w in there if workers is None or a in workers)

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
        worker = await self._worker(address)
        if not worker or attempt.host not in ("", worker.host):
            raise _LostError("its task is elsewhere" if worker else "it is not known yet")
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
                await self._call(address, blocks.put, sha256, data, limit_s=limit_s)
        if not attempt.address:
            self._give_time(attempt, plan)
        attempt.address = address
        lent = worker.cores, int(worker.resources.get("memory", 0))
        if not await self._call(address, blocks.order, attempt.name, lent):
            raise _LostError("its task is gone")

    async def _worker(self, address: str) -> Worker | None:
        """One that may have come just now; none where it is of no use."""
        for _ in range(2):
            if address in self._workers:
                break
            self._next_look = 0
            await self._look()
            if check := self._checks.get(address):
                await asyncio.wait([check])
        return self._workers.get(address)

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

    async def _call(
        self, address: str, function: Callable[..., object], *words: object, limit_s: float = CALL_S
    ) -> object:
        """What a function answers on a worker."""
        try:
            async with asyncio.timeout(limit_s):
                return (await self._client.run(function, *words, workers=[address]))[address]
        except (CommClosedError, TimeoutError, ConnectionError, KeyError) as error:
            raise _LostError(f"it does not answer: {error}") from None
        except Exception as error:  # of a host, whatever it is
            what = one_line(f"{type(error).__name__}: {error}", 300) or ""
            raise RemoteError(Failure.COMMAND, what) from None

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

    def _take_in(self, attempt: Attempt, archived: object) -> list[Run]:
        """Takes every boot of a block in, once all of them are seen to be there. Runs in a thread.

        A block counts whole, or not at all: what a failed one left is kept aside.
        """
        job, slots = self._job, attempt.block.slots
        folder = job.results.path / "incoming" / attempt.name.removeprefix(f"{self._owner}-")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            archive.unpack(archived, folder, len(slots))
            check_outcome(folder)
            runs = [self._read(slot, folder) for slot in slots]
            for slot, run in zip(slots, runs, strict=True):
                job.results.adopt(slot, run.run_id, folder / RUNS / slot.key)
        finally:
            keep(folder)
        return runs

    def _read(self, slot: Slot, folder: Path) -> Run:
        try:
            run = read_run(folder / RUNS / slot.key / RUN_FILE)
        except ResultsError as error:
            raise RemoteError(Failure.BAD_ANSWER, f"{slot.key}: {error.what}"[:300]) from None
        said = (run.run_id, run.variant, run.machine, run.clock, run.block)
        if said != (slot.run_id(self._lock.hash), *slot.cell, slot.block):
            raise RemoteError(Failure.BAD_ANSWER, f"{slot.key}: is another run")
        return run


def check_outcome(folder: Path) -> None:
    """Raises `RemoteError` unless a block came to its end on its host."""
    said = ""
    try:
        outcome = Outcome.model_validate_json((folder / OUTCOME).read_bytes())
        with contextlib.suppress(FileNotFoundError):
            said = (folder / LOG).read_bytes()[-2000:].decode("utf-8", "replace")
    except (OSError, ValidationError):
        raise RemoteError(Failure.BAD_ANSWER, "sends no outcome") from None
    if outcome != Outcome(cause="ended", status=0):
        last = one_line(said.strip().rpartition("\n")[2], 300) or ""
        what = f"the block {outcome.cause}, status {outcome.status}: {last}"
        raise RemoteError(Failure.COMMAND, what)


def keep(folder: Path) -> None:
    """What is left of an attempt lies aside; that all went well is no evidence."""
    if any(path.is_file() for path in (folder / "results").rglob("*")):
        aside = folder.parents[1] / "aside" / folder.name
        aside.parent.mkdir(exist_ok=True)
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
    else:
        shutil.rmtree(folder, ignore_errors=True)


def last_lost(entries: Sequence[LedgerEntry]) -> dict[str, LedgerEntry]:
    """By block, the last attempt, where it was lost with whoever watched it."""
    last = {entry.block: entry for entry in entries if entry.fate}
    return {b: e for b, e in last.items() if e.fate == Fate.LOST and e.task}


def need_of(job: Job, block: Block) -> Need:
    """What a block asks of its host."""
    accel = "tcg" if block.clock == "work" else job.session.lock.environment.accel
    return Need(max(map(job.need, block.slots)), accel, job.session.experiment.host_labels)


def resources(need: Need) -> Resources:
    """What a worker has to declare, all of a host included."""
    asked: Resources = {"host": 1, "memory": need.memory}
    asked |= {f"label:{label}": 1 for label in need.labels}
    return asked | ({"kvm": 1} if need.accel == "kvm" else {})


def only(name: str) -> Resources:
    """What one host alone declares."""
    return {f"host:{name}": 1}


def _folder(block: Block, number: int) -> str:
    return f"{block.key.replace('/', '-')}-{number}"


def _gone() -> HostError:
    return HostError(
        "the scheduler is gone", remedy="start it again, and then this; what is done is kept"
    )
