# SPDX-License-Identifier: GPL-2.0-only
"""One Run record to the rows of the dataset. Pure: no I/O, no clock.

A row is a dict of column names; what a row lacks is not observed. Names and units are those of
`harness.columns`.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from harness.model import HostSample, Lockfile, Phase, Run
from harness.text import one_line

Row = dict[str, Any]

_INT64 = 1 << 63

_ZONEINFO = {f"{name}_pages": f"{name}_pages" for name in ("free", "managed", "present", "spanned")}
_TOUCH = {"pages": "touched_pages", "ns": "duration_ns", "wall_ns": "duration_ns"}
_PLACES = ("node", "zone", "pass", "threads", "thread", "cpu")
"""Keys of a probe that say what a row is about."""


def _integer(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    whole = round(value)
    return whole if -_INT64 <= whole < _INT64 else None


def _number(value: object, digits: int = 9) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return round(float(value), digits)


def _per(value: float | None, pages: int | None) -> float | None:
    return None if value is None or not pages else round(value / pages, 6)


def identity(run: Run) -> Row:
    """The columns that every table of observations begins with."""
    return {
        "run_id": run.run_id,
        "variant": run.variant,
        "machine": run.machine,
        "clock": run.clock,
        "block": run.block,
        "warmup": run.warmup,
        "outcome": run.judgement.outcome.value,
    }


def run_row(run: Run, lock: Lockfile | None, evidence: str) -> Row:
    """The row of a boot, however it ended."""
    return {
        **identity(run),
        **_end(run),
        **_machine(run, lock),
        **_host(run),
        **(run.kernel.model_dump() if run.kernel else {}),
        "order": run.order,
        "attempt": run.attempt,
        "started_utc": run.started_utc,
        "evidence": evidence,
    }


def _end(run: Run) -> Row:
    return {
        "reason": one_line(run.judgement.reason),
        "last_phase": one_line(run.judgement.last_phase),
        "last_stamp_s": _number(run.judgement.last_stamp_s),
        "ending": run.ending.cause,
        "exit_code": run.ending.exit_code,
        "signal": run.ending.signal,
        "wall_s": _number(run.ending.wall_s) or None,
    }


def _machine(run: Run, lock: Lockfile | None) -> Row:
    machine = lock.machines.get(run.machine) if lock else None
    if machine is None:
        return {}
    return {
        "memory_bytes": machine.memory,
        "memmap_bytes": machine.memmap,
        "nodes": len(machine.nodes),
        "cpus": machine.cpus,
    }


def _host(run: Run) -> Row:
    facts = run.environment.model_dump()
    facts["host_thp"] = facts.pop("thp")
    if run.neighbours:
        facts["host_others_s"] = _number(run.neighbours.others_s)
        facts["host_steal_s"] = _number(run.neighbours.steal_s)
    if run.samples:
        last = run.samples[-1]
        facts |= {
            "host_rss_peak_bytes": max(s.rss_bytes for s in run.samples) or None,
            "host_rss_end_bytes": last.rss_bytes or None,
            "host_minor_faults": last.minor_faults,
            "host_major_faults": last.major_faults,
            "host_user_s": _number(last.user_s),
            "host_system_s": _number(last.system_s),
        }
    return facts


def phase_rows(run: Run) -> list[Row]:
    """One row per phase; seconds or instructions, as the clock of the run is."""
    about = identity(run)
    return [
        {
            **about,
            "phase": one_line(phase.name),
            "node": phase.node,
            "source": phase.source,
            "calls": phase.calls,
            "pages": phase.pages,
            **(_seconds(phase) if run.clock == "time" else _instructions(phase, run.work_shift)),
            "host_start_s": _number(phase.host_start_s, 6),
            "host_end_s": _number(phase.host_end_s, 6),
            "host_rss_grown_bytes": _rss_grown(run, phase),
        }
        for phase in sorted(run.phases, key=lambda p: (p.source, p.name, p.node or 0, p.start))
    ]


def store_rows(run: Run) -> list[Row]:
    """One row per phase, node of the CPU, of the memory and of the page."""
    about = identity(run)
    return [{**about, **count.model_dump(), "phase": one_line(count.phase)} for count in run.stores]


def _seconds(phase: Phase) -> Row:
    duration = _number(phase.duration)
    spent = duration if phase.busy is None else _number(phase.busy)
    return {
        "start_s": _number(phase.start),
        "end_s": _number(phase.end),
        "duration_s": duration,
        "busy_s": _number(phase.busy),
        "ns_per_page": _per(None if spent is None else spent * 1e9, phase.pages),
    }


def _instructions(phase: Phase, shift: int) -> Row:
    """Instructions of a phase, which marks and profiles have; printk has ns, 2^shift of them each.

    Arrival on the host says nothing about instructions: such a phase has no figure here.
    """
    if phase.source == "host":
        return {}
    unit = 1e9 / (1 << shift) if phase.source == "printk" else 1
    start, end = _integer(phase.start * unit), _integer(phase.end * unit)
    count = None if start is None or end is None else end - start
    busy = None if phase.busy is None else _integer(phase.busy * unit)
    return {
        "start_instructions": start,
        "end_instructions": end,
        "instructions": count,
        "busy_instructions": busy,
        "idle": _integer(phase.idle),
        "instructions_per_page": _per(count if busy is None else busy, phase.pages),
    }


def _rss_grown(run: Run, phase: Phase) -> int | None:
    """What QEMU's resident size grew by during a phase; none where no sample is on each side."""
    before = _rss_at(run.samples, phase.host_start_s)
    after = _rss_at(run.samples, phase.host_end_s)
    return None if before is None or after is None else round(after - before)


def _rss_at(samples: Sequence[HostSample], host_s: float | None) -> float | None:
    if host_s is None:
        return None
    after = bisect_left(samples, host_s, key=lambda sample: sample.host_s)
    if not 0 < after < len(samples):
        return None
    a, b = samples[after - 1], samples[after]
    if not a.host_s < b.host_s:  # not in order, so not ours
        return None
    share = (host_s - a.host_s) / (b.host_s - a.host_s)
    return a.rss_bytes + share * (b.rss_bytes - a.rss_bytes)


def probe_rows(run: Run) -> list[Row]:
    """The rows of every probe, in the order of arrival; facts without a column get a row each."""
    about = identity(run)
    rows: list[Row] = []
    for probe in run.probes:
        left = dict(probe)
        kind = one_line(str(left.pop("probe", ""))) or "unnamed"
        here = {**about, "probe": kind, **_place(left)}
        columns = _columns(kind, left, run)
        if columns:
            rows.append({**here, **columns})
        rows += [{**here, **_fact(key, value)} for key, value in left.items()]
    return rows


def _place(left: Row) -> Row:
    """Takes out of `left` what says where and when the observation was made."""
    place: Row = {}
    for key in _PLACES:
        if key not in left:
            continue
        value = one_line(str(left[key])) if key == "zone" else _integer(left[key])
        if value is not None:
            place[key] = value
            del left[key]
    return place


def _columns(kind: str, left: Row, run: Run) -> Row:
    """Takes the observations that have a column of their own out of `left`."""
    if kind == "zoneinfo":
        return _take(left, _ZONEINFO)
    if kind not in ("touch", "touch_total"):
        return {}
    start, end = _integer(left.pop("tsc_start", None)), _integer(left.pop("tsc_end", None))
    ticks = _integer(left.pop("tsc_span", None))
    if ticks is None and start is not None and end is not None:
        ticks = end - start
    found: Row = {"name": one_line(str(left.pop("kind", ""))), **_take(left, _TOUCH)}
    pages = found.get("touched_pages")
    if run.clock == "time":
        return found | {"ns_per_page": _per(found.get("duration_ns"), pages)}
    # On this clock a TSC tick is a nanosecond of guest time, and so is `ns`: neither is a time.
    found.pop("duration_ns", None)
    count = None if ticks is None else ticks >> run.work_shift
    return found | {"instructions": count, "instructions_per_page": _per(count, pages)}


def _take(left: Row, names: dict[str, str]) -> Row:
    found = {}
    for key, column in names.items():
        if (value := _integer(left.get(key))) is not None:
            found[column] = value
            del left[key]
    return found


def _fact(key: object, value: object) -> Row:
    """One fact: a size in bytes, a number, or text."""
    name, whole = one_line(str(key)) or "", _integer(value)
    if whole is not None and name.endswith("_bytes"):
        return {"name": name.removesuffix("_bytes"), "memory_bytes": whole}
    if whole is not None:
        return {"name": name, "value": _number(value)}
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return {"name": name, "text": one_line(text)}
