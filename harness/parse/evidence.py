# SPDX-License-Identifier: GPL-2.0-only
"""From the raw evidence of one boot to its phases, judgement and probe results, as often as wanted.

The raw files are written first and never changed, so a better parser improves old runs too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import ResultsError
from harness.files import need, read_bytes, read_text, write_atomic
from harness.foreign import parse_json, tame
from harness.model import GOOD, STOOD_STILL, Clock, Ending, Judgement, Outcome, Phase, Run
from harness.parse import dmesg, functions, idle, phases, profile, size
from harness.parse import outcome as judge
from harness.parse import stores as counts
from harness.parse.dmesg import Chunk
from harness.parse.idle import IdleClock
from harness.parse.size import Size
from harness.results import IDLE, PROFILE, STORES, StoredRun

CONSOLE = "console.log"
LINES = "console.jsonl"
PROBES = "probes.jsonl"
UNBOOTED = ("build-failed", "start-refused")
"""Endings of boots that never began."""
MAX_PROBE_LINES = 100_000
MAX_RESULTS = 8 << 20
"""Bytes of all results: the most of the reference datasets is 60 kB."""
MAX_FACTS = 100_000
"""Facts of all results: each becomes a row."""
MAX_NESTED = 100
"""Brackets in a result: our probes write flat objects, and JSON can nest deeper than any stack."""


@dataclass(frozen=True)
class Findings:
    """What the raw evidence says."""

    phases: tuple[Phase, ...]
    judgement: Judgement
    probes: tuple[dict[str, Any], ...]
    size: Size
    """how large the guest says that it is"""


def read_probes(data: bytes) -> tuple[dict[str, Any], ...]:
    """The JSON objects of the results port; what is no object is kept as an error, not dropped."""
    found: list[dict[str, Any]] = []
    facts = 0
    lines = data[:MAX_RESULTS].split(b"\n")
    more = len(data) > MAX_RESULTS or len(lines) > MAX_PROBE_LINES
    for line in lines[:MAX_PROBE_LINES]:
        text = line.strip(b"\r\0 ")
        if not text:
            continue
        try:
            flat = text.count(b"[") + text.count(b"{") <= MAX_NESTED
            value = tame(parse_json(text)) if flat else None
        except ValueError:
            value = None
        if not isinstance(value, dict) or not isinstance(value.get("probe"), str):
            value = {"probe": "unreadable", "error": text[:200].decode("utf-8", "replace")}
        facts += len(value)
        if facts > MAX_FACTS:
            more = True
            break
        found.append(value)
    if more:
        found.append({"probe": "unreadable", "error": "too many results: the rest is left out"})
    return tuple(found)


def derive(
    folder: Path,
    ending: Ending,
    clock: Clock,
    shift: int = 0,
    idle: IdleClock | None = None,
    *,
    marked: bool = True,
) -> Findings:
    """Reads the evidence in `folder`; `shift` is the one of ``-icount`` on the work clock.

    Without `marked` nobody asks for marks: none are missed, and none are phases.
    """
    chunks = dmesg.host_stamps_from_jsonl(read_text(folder / LINES))
    console = dmesg.read(read_bytes(folder / CONSOLE), chunks)
    probes = read_probes(read_bytes(folder / PROBES))
    done = any(p["probe"] == "done" for p in probes)
    found = phases.read_phases(console, clock, shift, idle)
    judgement = judge.judge(console, ending, found, done, marked=marked)
    if not marked:
        found = tuple(phase for phase in found if phase.source != "mark")
    return Findings(found, judgement, probes, size.reported(console, probes))


def index(folder: Path, chunks: Sequence[Chunk]) -> None:
    """Writes ``console.jsonl``: host time, printk time and text of each line."""
    console = dmesg.read(read_bytes(folder / CONSOLE), chunks)
    write_atomic(folder / LINES, dmesg.to_jsonl(console))


def complete(run: Run, folder: Path) -> Run:
    """The run with everything that follows from the raw evidence in `folder`."""
    if run.ending.cause in UNBOOTED:
        outcome = Outcome(run.ending.cause)
        judgement = Judgement(outcome=outcome, reason=run.ending.detail[:2000])
        return run.model_copy(update={"judgement": judgement})
    written = _written(run, folder, IDLE)
    waited, no_idle = (None, None) if written is None else idle.read(written)
    found = derive(
        folder, run.ending, run.clock, run.work_shift, waited, marked=run.instrument != "profile"
    )
    written = _written(run, folder, STORES)
    stores, no_stores = ((), None) if written is None else counts.read(written, found.phases)
    counted, no_profile = _counted(run, folder, waited)
    judgement, why = found.judgement, {IDLE: no_idle, STORES: no_stores, PROFILE: no_profile}
    faults = [f"{name}: {fault}" for name, fault in why.items() if fault]
    if faults and judgement.outcome in GOOD:
        incomplete = {"outcome": Outcome.INCOMPLETE, "reason": "; ".join(faults)}
        judgement = judgement.model_copy(update=incomplete)
    lacks = size.shortfall(found.size, size.emulated(run.argv), run.clock, run.command_line)
    if lacks and judgement.outcome in GOOD:
        smaller = {"outcome": Outcome.SMALLER, "reason": lacks}
        judgement = judgement.model_copy(update=smaller)
    gap = run.ending.unwatched_s
    if gap and run.clock == "time" and judgement.outcome in GOOD:
        said = f"{STOOD_STILL} {gap:.1f} s: what it timed is no measure"
        judgement = judgement.model_copy(update={"outcome": Outcome.WARNING, "reason": said})
    return run.model_copy(
        update={
            "phases": (
                *found.phases,
                *counted,
                *_user_space(run, found.phases),
                *_login(run, found.phases),
            ),
            "judgement": judgement,
            "probes": found.probes,
            "stores": stores,
        }
    )


def _counted(
    run: Run, folder: Path, waited: IdleClock | None
) -> tuple[tuple[Phase, ...], str | None]:
    """Phases by the functions that they are, where those were counted; and what is wrong."""
    written = _written(run, folder, PROFILE)
    if written is None:
        return (), None
    found, fault = profile.read_profile(written)
    if found is None:
        return (), fault
    if found.event != "instructions":
        return (), None
    version = run.kernel.base_version if run.kernel else ""
    told = functions.phases_of(found, version, run.work_shift, waited)
    return told, None if told else f"{functions.ZERO} never ran, or has no symbol"


def kernel_profile(folder: Path) -> profile.Profile | None:
    """The profile of a boot, by its folder, without the firmware before the kernel.

    None where there is none, or it cannot be read.
    """
    try:
        written = read_bytes(folder / PROFILE)
    except ResultsError:
        return None
    found = profile.read_profile(written)[0] if written else None
    return found and found.without(profile.FIRMWARE)


def _user_space(run: Run, found: Sequence[Phase]) -> Iterator[Phase]:
    """The boot as the host saw it by the results port, where the console kept silent (`quiet`).

    It begins with the kernel's banner, and with the launch where there is none.
    """
    end = run.first_result_s
    if end is None or any((p.name, p.source) == ("boot", "host") for p in found):
        return
    begin = next((p.end for p in found if p.name == "firmware"), 0.0)
    if begin <= end:
        yield phases.on_host("boot", begin, end)


def _login(run: Run, found: Sequence[Phase]) -> Iterator[Phase]:
    """From the begin of user space to the first login, in a guest that lets somebody in."""
    booted = next((p for p in found if (p.name, p.source) == ("boot", "host")), None)
    if run.visit and booted and booted.end <= run.visit.login_s:
        yield phases.on_host("login", booted.end, run.visit.login_s)


def _written(run: Run, folder: Path, name: str) -> bytes | None:
    """What a plugin wrote; none where it did not run."""
    return read_bytes(folder / name) if _ran(run, name) else None


def _ran(run: Run, name: str) -> bool:
    """Whether the plugin that writes this file was loaded."""
    return any(f"out={name}" in word.split(",") for word in run.argv)


def reread(stored: StoredRun) -> Run:
    """A stored run, its findings derived again by the parser of today.

    Raises `ResultsError` for evidence that is damaged, or gone: what is not there says nothing.
    """
    run = stored.run
    if run.ending.cause not in UNBOOTED:
        good = run.judgement.outcome in GOOD
        counts = (name for name in (STORES, IDLE, PROFILE) if good and _ran(run, name))
        for name in (CONSOLE, LINES, PROBES, *counts):
            need(stored.folder / name)
    return complete(stored.run, stored.folder)
