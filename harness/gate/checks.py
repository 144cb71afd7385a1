# SPDX-License-Identifier: GPL-2.0-only
"""The correctness gate: what every variant has to prove, and what its boots say. Pure.

A variant boots twice on one machine: the kernel that is measured, and a debug build of it with a
poisoned memmap. Probes in the guest report facts and checks; here facts become checks, beside the
eager kernel's where it is the measure. What was not reported has failed, and so has a build that
left no record which can be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, cast

from harness.gate.facts import PAGE, Facts, MissingFactError, State
from harness.model import (
    ArchName,
    Experiment,
    Group,
    Outcome,
    Probes,
    Run,
    Slot,
    Timeouts,
    Variant,
    base_of,
    definition,
    on_base,
    peer,
)

Result = Literal["pass", "fail", "skip", "known"]
"""`known` has failed, as the file of its variant says that it does."""

Verdict = tuple[Result, str]
Build = Literal["measured", "debug", "huge-page", "cma", "stale-memmap"]

BASELINE = "eager"
MACHINE = "gate-8g"
MACHINES: dict[ArchName, str] = {"x86_64": MACHINE, "arm64": "virt-gate-8g"}
"""Where the gate of each architecture boots."""
BUILDS: tuple[Build, ...] = ("measured", "debug")
SUFFIX = ".debug"
POISON = ("vm_debug=P", "page_poison=1")

_FACTS = ("settle", "meminfo", "zoneinfo", "freelist", "census")
_ACTS = ("huge", "migrate", "compact", "fill", "block", "oom")
PROBES = Probes.model_validate({"run": (*_FACTS, *_ACTS, *_FACTS[1:])})
REFERENCE = Probes.model_validate({"run": _FACTS})
"""What the eager kernel reports where it is the measure only."""

MIB = 1 << 20
BLOCK = 1024
"""Pages of a block of MAX_PAGE_ORDER, the least that initialisation loses or misplaces."""

BOOTS = "boots"
"""The check that fails, and stands alone, where fewer boots can be read than were planned."""

GUEST = ("hugetlb-1g", "hugetlb-2m", "thp", "migration", "compaction", "memory-blocks")
"""Checks that the guest judges; the name of the probe of each is in `_PROBE`."""

_PROBE = {
    **dict.fromkeys(("hugetlb-1g", "hugetlb-2m", "thp"), "huge"),
    **{"migration": "migrate", "compaction": "compact", "memory-blocks": "block"},
    **dict.fromkeys(("kcore", "mapped-pages", "hwpoison-1g"), "walk"),
    "hugetlb-cma": "cma",
}

_SUBJECT = frozenset({"fill", "walk", "cma"})
"""Probes that only what is judged has."""


@dataclass(frozen=True)
class Scenario:
    """A boot of another kind: kernel parameters, what runs in the guest, and what is judged."""

    boot: tuple[str, ...]
    probes: Probes
    checks: tuple[str, ...]


SCENARIOS: Mapping[Build, Scenario] = MappingProxyType(
    {
        "huge-page": Scenario(
            ("hugepagesz=1G", "hugepages=3:1"),
            Probes(run=("settle", "walk")),
            ("log", "kcore", "mapped-pages", "hwpoison-1g"),
        ),
        "cma": Scenario(
            ("hugetlb_cma=0:1G,3:1G",), Probes(run=("settle", "cma")), ("log", "hugetlb-cma")
        ),
        "stale-memmap": Scenario(
            ("stale_memmap=1",),
            Probes(run=("settle", "meminfo", "zoneinfo", "fill")),
            ("log", "pattern", "places"),
        ),
    }
)
"""By what they are called as builds. One kernel boots all of them; nodes are those of `MACHINE`."""

SCENARIO_SERIES, SCENARIO_FRAGMENT = "stale-memmap", "walk"
"""What that kernel has beside the variant's: the parameter, and what walks the memmap."""


@dataclass(frozen=True)
class Check:
    """One row of gate.csv; without a `run_id` where no boot can be read."""

    run_id: str | None
    machine: str
    variant: str
    build: Build
    check: str
    result: Result
    detail: str


def debug(variant: Variant) -> Variant:
    """The debug build of a variant."""
    return variant.model_copy(
        update={
            "name": variant.name + SUFFIX,
            "fragments": (*variant.fragments, "debug"),
            "boot": (*variant.boot, *POISON),
        }
    )


def scenario(variant: Variant, build: Build, base: str) -> Variant:
    """What boots a variant in a scenario, and what is known to fail there on a base."""
    known = ((variant.known_failures or {}).get(base) or {}).get(build)
    return variant.model_copy(
        update={
            "name": f"{variant.name}.{build}",
            "series": (*variant.series, SCENARIO_SERIES),
            "fragments": (*variant.fragments, SCENARIO_FRAGMENT),
            "boot": (*variant.boot, *SCENARIOS[build].boot),
            "known_failures": {base: {build: known}} if known else None,
        }
    )


def scenarios(
    names: Sequence[str], base: str | None = None, arch: ArchName = "x86_64"
) -> Experiment:
    """Every variant in every scenario, on a base with kernels of `arch`; nothing is compared."""
    cell = {"machines": (MACHINES[arch],), "clocks": {"time": {}}}
    groups = [
        {"variants": [f"{name}.{build}" for name in names], "probes": each.probes, **cell}
        for build, each in SCENARIOS.items()
    ]
    return Experiment(
        name="gate-scenarios",
        description="what every variant has to survive beside the gate",
        baseline=f"{names[0]}.{next(iter(SCENARIOS))}",
        bases=base and (base,),
        matrix=tuple(Group.model_validate(group) for group in groups),
        limits=Timeouts(silence_s=60, progress_s=75),
    )


def known_failures(variants: Mapping[str, Variant]) -> dict[str, str]:
    """What is known to fail: variant as it was booted to where that is said."""
    return {
        name: "; ".join(where for said in known.values() for where in said.values())
        for name, known in ((name, v.known_failures) for name, v in variants.items())
        if known and split(name)[1] in SCENARIOS
    }


def experiment(
    names: Sequence[str], base: str | None = None, arch: ArchName = "x86_64"
) -> Experiment:
    """Both builds of every variant, and those of the eager kernel to compare with, on a base whose
    kernels are of `arch`."""
    subjects = [name + suffix for name in names for suffix in ("", SUFFIX)]
    measures = [n for n in (BASELINE, BASELINE + SUFFIX) if n not in subjects]
    cell = {"machines": (MACHINES[arch],), "clocks": {"time": {}}}
    groups = [{"variants": measures, "probes": REFERENCE, **cell}] if measures else []
    groups.append({"variants": subjects, "probes": PROBES, **cell})
    return Experiment(
        name="gate",
        description="what every variant has to prove before its numbers count",
        baseline=BASELINE,
        bases=base and (base,),
        matrix=tuple(Group.model_validate(group) for group in groups),
        # All memory is filled without a word, on a slow build.
        limits=Timeouts(silence_s=60, progress_s=75),
    )


def checks(
    runs: Iterable[Run],
    asked: Experiment | None,
    unread: Mapping[str, str] = MappingProxyType({}),
    known: Mapping[str, str] = MappingProxyType({}),
) -> list[Check]:
    """Every check of every run that was sent through the gate, and of what should have been.

    `unread` says why the record of a slot cannot be read, by the slot's key; `known` where it is
    said that a variant fails (`known_failures`).
    """
    if asked is None:
        return []
    runs = [run for run in runs if not run.warmup]
    runs.sort(key=lambda run: (run.variant, run.machine, run.block))
    measures = {(run.variant, run.machine): run for run in runs}
    cells: dict[tuple[str, str], list[Check]] = {}
    for variant, machine, lacking in _lacking(runs, asked, unread):
        cells[variant, machine] = [Check(None, machine, *split(variant), BOOTS, "fail", lacking)]
    for run in runs:
        if not _SUBJECT & set(asked.probes_of(run.variant, run.machine, run.clock).run):
            continue
        name, build = split(run.variant)
        measure = peer(BASELINE + SUFFIX * (build == "debug"), run.variant)
        eager = measures.get((measure, run.machine))
        found = judge(run, name, build, eager)
        where = known.get(run.variant)
        if where and run.judgement.outcome is not Outcome.BUILD_FAILED:
            found = [_known(check, where) for check in found]
        cells.setdefault((run.variant, run.machine), []).extend(found)
    return [check for cell in sorted(cells) for check in cells[cell]]


def _known(check: Check, where: str) -> Check:
    if check.result != "fail":
        return check
    return replace(check, result="known", detail=f"{check.detail} (known: {where})")


def _lacking(
    runs: Sequence[Run], asked: Experiment, unread: Mapping[str, str]
) -> Iterator[tuple[str, str, str]]:
    """Variant and machine of which there are fewer records than planned, and why."""
    there = {(run.variant, run.machine, run.clock, run.block) for run in runs}
    cells: dict[tuple[str, str], list[Slot]] = {}
    for slot in asked.schedule():
        if _SUBJECT & set(asked.probes_of(*slot.cell).run) and not slot.warmup:
            cells.setdefault((slot.variant, slot.machine), []).append(slot)
    for cell, slots in cells.items():
        gone = [slot.key for slot in slots if (*slot.cell, slot.block) not in there]
        if gone:
            why = "; ".join(unread.get(key, f"runs/{key}: no record") for key in gone)
            yield *cell, f"{len(slots) - len(gone)} of {len(slots)} boots can be read: {why}"


def split(variant: str) -> tuple[str, Build]:
    """A variant's name and the build of it that ran."""
    own, build = definition(variant), "measured"
    for each in ("debug", *SCENARIOS):
        if own.endswith(f".{each}"):
            own, build = own.removesuffix(f".{each}"), each
    return on_base(own, base_of(variant)), cast(Build, build)


def judge(run: Run, name: str, build: Build, eager: Run | None) -> list[Check]:
    """The checks of one boot, in the order of `CHECKS`, or of its scenario."""
    mine, measure = Facts.of(run), Facts.of(eager) if eager else None
    found = []
    for check in SCENARIOS[build].checks if build in SCENARIOS else CHECKS:
        try:
            result, detail = _verdict(check, mine, measure)
        except (MissingFactError, LookupError, TypeError, ValueError) as error:
            # A record of the guest that lacks a key or holds nonsense is as good as none.
            known = isinstance(error, MissingFactError)
            why = str(error) if known else f"unreadable record: {error!r}"
            ended = "" if run.ending.cause == "done" else f"; the boot ended: {_ended(run)}"
            result, detail = "fail", f"no result: {why}{ended}"
        found.append(Check(run.run_id, run.machine, name, build, check, result, detail))
    return found


def _ended(run: Run) -> str:
    return f"{run.judgement.outcome}: {run.judgement.reason}"


def _verdict(check: str, mine: Facts, eager: Facts | None) -> Verdict:
    if check in _PROBE:
        return mine.check(check, _PROBE[check])
    if check in _ALONE:
        return _ALONE[check](mine)
    if eager is None:
        raise MissingFactError(f"no boot of {BASELINE} to compare with")
    return _COMPARED[check](mine, eager)


def _say(problems: Sequence[str], good: str) -> Verdict:
    return ("fail", "; ".join(problems[:4])) if problems else ("pass", good)


def _log(mine: Facts) -> Verdict:
    good = mine.run.judgement.outcome is Outcome.OK
    return ("pass", "no BUG, WARN, bad page or stall") if good else ("fail", _ended(mine.run))


def _totals(mine: Facts, eager: Facts) -> Verdict:
    """Present and spanned to the page. Another image takes other pages: managed to half a block.

    The memmap of memory that is added late is managed memory in use.
    """
    same = _image(mine.run) == _image(eager.run)
    room = 0 if same else BLOCK // 2
    late = mine.first.memmap - eager.first.memmap
    problems, largest = [], 0
    ours, theirs = mine.first.zones, eager.first.zones
    for zone in sorted(ours.keys() | theirs.keys()):
        for key in ("spanned", "present", "managed"):
            a = ours.get(zone, {}).get(f"{key}_pages", 0)
            b = theirs.get(zone, {}).get(f"{key}_pages", 0)
            managed = key == "managed"
            largest = max(largest, abs(a - b))
            if not -room * managed <= a - b <= (room + max(late, 0)) * managed:
                problems.append(f"node {zone[0]} {zone[1]}: {key} {a}, {BASELINE} has {b}")
    total, other = mine.first.total, eager.first.total
    if abs(total - other - late * PAGE) > 2 * room * PAGE:
        problems.append(f"MemTotal {total}, {BASELINE} has {other}")
    detail = f"{len(ours)} zones, MemTotal {total >> 10} KiB, largest difference {largest} pages"
    detail += f"; {late} pages of it hold the memmap of late memory" if late else ""
    return _say(problems, detail)


def _image(run: Run) -> str | None:
    return run.kernel.image_sha256 if run.kernel else None


def _used(mine: Facts, eager: Facts) -> Verdict:
    """What is neither free nor on a per-CPU list right after the boot, over all nodes."""
    a, b = (facts.first.used - facts.first.memmap for facts in (mine, eager))
    detail = f"{a} pages used, {BASELINE} uses {b}"
    return ("fail" if abs(a - b) >= BLOCK // 2 else "pass"), detail


def _lost(mine: Facts, eager: Facts) -> Verdict:
    """Blocks of 4 MiB without any flag: nobody's, unless the memmap of late memory is in them."""
    more, (lost, theirs) = mine.first.lost_beside(eager.first, BLOCK)
    where = mine.first.first_lost
    detail = f"{lost} blocks of 4 MiB without any flag, {BASELINE} has {theirs}"
    detail += f"; first at {', '.join(where)}" if where else ""
    late = max(0, mine.first.memmap - eager.first.memmap)
    return ("fail" if more > late // BLOCK else "pass"), detail


def _census(state: State) -> Verdict:
    return _say(state.census_problems(), state.census_summary())


def _lists(state: State) -> Verdict:
    return _say(state.list_problems(), f"{len(state.lists)} zones add up")


def _totals_after(mine: Facts) -> Verdict:
    before, after = mine.first, mine.last
    problems = [
        f"node {zone[0]} {zone[1]}: {key} {old[key]}, then {after.zones.get(zone, {}).get(key)}"
        for zone, old in before.zones.items()
        for key in ("spanned_pages", "present_pages", "managed_pages")
        if after.zones.get(zone, {}).get(key) != old[key]
    ]
    if before.total != after.total:
        problems.append(f"MemTotal {before.total}, then {after.total}")
    return _say(problems, f"{len(before.zones)} zones as before")


def _pattern(mine: Facts) -> Verdict:
    problems = [f"node {n}: {f['reason']}" for n, f in mine.fills.items() if "reason" in f]
    for key, what in (("wrong", "lost their pattern"), ("dirty", "were not zero when new")):
        for node, fill in mine.fills.items():
            if count := fill[f"{key}_pages"]:
                problems.append(f"node {node}: {count} pages {what}")
    again = sum(int(fill["refilled_bytes"]) for fill in mine.fills.values())
    if again < 0.8 * mine.filled:
        problems.append(f"{mine.filled >> 20} MiB could be used, then {again >> 20} MiB")
    pages = f"{mine.filled // PAGE} pages, then {again // PAGE}"
    return _say(problems, f"{pages}, on {len(mine.fills)} nodes")


def _places(mine: Facts) -> Verdict:
    problems = [
        f"node {node}: {fill['astray_pages']} pages lie elsewhere, {fill['mislabelled_pages']} say"
        f" that they do; first pfn {fill['first_bad_pfn']:#x}"
        for node, fill in mine.fills.items()
        if fill["astray_pages"] or fill["mislabelled_pages"]
    ]
    return _say(problems, f"{mine.filled // PAGE} pages on the node they were bound to")


def _free(mine: Facts) -> Verdict:
    """MemFree is most of MemTotal on an idle machine, can be had, and is back afterwards."""
    problems = []
    for node, f in mine.fills.items():
        spent = f["free_before_bytes"] - f["free_full_bytes"] - f["filled_bytes"]
        if abs(spent) > 24 * MIB:
            problems.append(f"node {node}: MemFree fell by {spent >> 20} MiB beside the pattern")
        if (gone := f["free_before_bytes"] - f["free_after_bytes"]) > 16 * MIB:
            problems.append(f"node {node}: {gone >> 20} MiB did not come back")
    share = mine.filled / mine.first.total
    if share < 0.85:
        problems.append(f"MemFree let only {share:.0%} of MemTotal be used")
    taken, promised = mine.oom["taken_bytes"], mine.oom["available_bytes"]
    if taken < 0.97 * promised:
        problems.append(f"MemAvailable said {promised >> 20} MiB, {taken >> 20} MiB could be had")
    return _say(problems, f"{share:.1%} of MemTotal by MemFree, {taken >> 20} MiB before OOM")


def _oom(mine: Facts) -> Verdict:
    problems, oom = [], mine.oom
    if oom["signal"] != 9:
        problems.append(f"the child ended with signal {oom['signal']}, not 9")
    gone = oom["free_before_bytes"] - oom["free_after_bytes"]
    if gone > 32 * MIB:
        problems.append(f"{gone >> 20} MiB did not come back")
    return _say(problems, f"killed after {oom['taken_bytes'] >> 20} MiB, all of it back")


_ALONE: dict[str, Callable[[Facts], Verdict]] = {
    "log": _log,
    "census": lambda mine: _census(mine.first),
    "free-lists": lambda mine: _lists(mine.first),
    "pattern": _pattern,
    "places": _places,
    "mem-free": _free,
    "oom": _oom,
    "totals-after": _totals_after,
    "census-after": lambda mine: _census(mine.last),
    "free-lists-after": lambda mine: _lists(mine.last),
}
_COMPARED = {"totals": _totals, "used-memory": _used, "lost-memory": _lost}

CHECKS = (
    *("log", "totals", "used-memory", "lost-memory", "census", "free-lists"),
    *GUEST,
    *("pattern", "places", "mem-free", "oom"),
    *("totals-after", "census-after", "free-lists-after"),
)


def in_short(results: Sequence[object]) -> str:
    """How many of some results are failures, and how many of them known."""
    counts = [(results.count("fail"), "FAILED"), (results.count("known"), "known to fail")]
    return ", ".join(f"{count} {what}" for count, what in counts if count) or "all good"


def rows(found: Iterable[Check]) -> list[dict[str, Any]]:
    """The rows of gate.csv."""
    return [asdict(row) for row in found]
