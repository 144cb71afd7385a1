# SPDX-License-Identifier: GPL-2.0-only
"""What the probes of the correctness gate reported in one boot: at its begin, and at its end."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

from harness.model import Run

PAGE = 4096
SLACK = 512
"""Pages that per-CPU counters and lists make two counts of the same zone differ by."""

Zone = tuple[int, str]
Probe = dict[str, Any]


class MissingFactError(Exception):
    """A fact that no probe reported; says why where the guest did."""


@dataclass(frozen=True)
class State:
    """Memory at one moment. To ask for a fact that is not there raises `MissingFactError`."""

    probes: tuple[Probe, ...]
    errors: dict[str, str]

    @cached_property
    def total(self) -> int:
        """MemTotal in bytes."""
        return int(self._all("meminfo")[0]["mem_total_bytes"])

    @cached_property
    def memmap(self) -> int:
        """Pages of the memmap that the page allocator gave: of memory that was added late.

        Such pages are managed and in use; where all memory is there at boot they are reserved.
        """
        return int(self._all("meminfo")[0].get("memmap_pages", 0))

    @cached_property
    def zones(self) -> dict[Zone, Probe]:
        return {(p["node"], p["zone"]): p for p in self._all("zoneinfo")}

    @cached_property
    def lists(self) -> dict[Zone, Probe]:
        """Free lists of the zones that have memory."""
        found = {(p["node"], p["zone"]): p for p in self._all("freelist")}
        return {zone: p for zone, p in found.items() if zone in self.zones}

    @cached_property
    def census(self) -> dict[int, Probe]:
        return {p["node"]: p for p in self._all("census")}

    @property
    def used(self) -> int:
        """Managed pages that are neither free nor on a per-CPU list."""
        return sum(
            p["managed_pages"] - p["free_pages"] - p["percpu_pages"] for p in self.zones.values()
        )

    @property
    def first_lost(self) -> list[str]:
        """The first block without any flag of each node that has one."""
        return [f"pfn {n['first_lost_pfn']:#x}" for n in self.census.values() if n["lost_blocks"]]

    def lost_beside(self, other: State, block: int) -> tuple[int, tuple[int, int]]:
        """Blocks of `block` pages without any flag that neither the other nor lists explain.

        Pages on per-CPU lists have no flag either, and a zone that has just grown fills those of
        its node with pages that lie side by side. Beside it: the blocks of both.
        """
        listed = dict.fromkeys(self.census, 0)
        for (node, _), zone in self.zones.items():
            listed[node] = listed.get(node, 0) + int(zone["percpu_pages"])
        mine, theirs = (
            {node: int(c["lost_blocks"]) for node, c in state.census.items()}
            for state in (self, other)
        )
        more = (n - theirs.get(node, 0) - listed[node] // block for node, n in mine.items())
        return sum(max(0, m) for m in more), (sum(mine.values()), sum(theirs.values()))

    def census_problems(self) -> list[str]:
        found = []
        for node, count in self.census.items():
            if mapped := count["free_mapped_pages"]:
                pfn = count["first_free_mapped_pfn"]
                found.append(f"node {node}: {mapped} free pages count as mapped, first {pfn:#x}")
            if count["hwpoison_pages"]:
                found.append(f"node {node}: {count['hwpoison_pages']} poisoned pages")
        return found

    def census_summary(self) -> str:
        pages = sum(count["pages"] for count in self.census.values())
        hidden = sum(count["nopage_pages"] for count in self.census.values())
        return f"{pages} pages read" + (f", {hidden} of them not shown yet" if hidden else "")

    def list_problems(self) -> list[str]:
        """Where zoneinfo, buddyinfo, pagetypeinfo and MemTotal contradict each other.

        Pages that a kernel has not initialised may count as free and be on no list. Those on
        per-CPU lists go back to the free lists whenever they like, between two reads too.
        """
        found = []
        for (node, name), zone in self.zones.items():
            here, lists = f"node {node} {name}", self.lists.get((node, name))
            if lists is None:
                found.append(f"{here}: no free lists")
                continue
            hidden = self.census[node]["nopage_pages"]
            free = lists.get("free_pages", zone["free_pages"])
            buddy = lists["buddy_pages"]
            slack = SLACK + zone["percpu_pages"]
            if not buddy - slack <= free <= buddy + hidden + SLACK:
                found.append(f"{here}: {free} free, {buddy} on the lists, {hidden} not shown")
            if abs(lists["typed_pages"] - buddy) > slack:
                found.append(f"{here}: pagetypeinfo has {lists['typed_pages']} free, not {buddy}")
            if lists["block_pages"] + hidden + SLACK < zone["present_pages"]:
                found.append(
                    f"{here}: pageblocks of {lists['block_pages']} pages, not"
                    f" {zone['present_pages']}"
                )
            sizes = [zone[f"{key}_pages"] for key in ("free", "managed", "present", "spanned")]
            if sizes != sorted(sizes):
                found.append(f"{here}: free, managed, present, spanned are {sizes}")
        managed = sum(zone["managed_pages"] for zone in self.zones.values()) * PAGE
        if managed != self.total:
            found.append(f"MemTotal is {self.total}, the zones manage {managed}")
        return found

    def _all(self, name: str) -> list[Probe]:
        found = [p for p in self.probes if p["probe"] == name and "error" not in p]
        if not found:
            raise MissingFactError(self.errors.get(name, f"{name} did not report"))
        return found


@dataclass(frozen=True)
class Facts:
    """One boot: memory before the acting probes and after them, and what those said."""

    run: Run
    first: State
    last: State
    errors: dict[str, str]

    @classmethod
    def of(cls, run: Run) -> Self:
        """Sorts what was reported; damaged records are as good as none."""
        probes = [p for p in run.probes if isinstance(p.get("probe"), str)]
        errors = {
            p["probe"]: f"{p['probe']}: {p['error']}: {p.get('reason', '')}"
            for p in probes
            if "error" in p
        }
        marks = [i for i, p in enumerate(probes) if p["probe"] == "meminfo"]
        split = marks[1] if len(marks) > 1 else len(probes)
        first, last = (State(tuple(part), errors) for part in (probes[:split], probes[split:]))
        return cls(run, first, last, errors)

    @cached_property
    def fills(self) -> dict[int, Probe]:
        found = {p["node"]: p for p in self._acts("fill")}
        if missing := {node for node, _ in self.first.zones} - found.keys():
            raise MissingFactError(f"fill did not report nodes {sorted(missing)}")
        return found

    @property
    def filled(self) -> int:
        """Bytes that were filled at once."""
        return sum(int(fill["filled_bytes"]) for fill in self.fills.values())

    @cached_property
    def oom(self) -> Probe:
        return self._acts("oom")[0]

    def check(self, name: str, probe: str) -> tuple[Literal["pass", "fail", "skip"], str]:
        """What the guest said about a check that it judges itself."""
        for p in self.run.probes:
            if p.get("probe") == "check" and p.get("check") == name:
                result = p.get("result")
                detail = str(p.get("detail", ""))
                return ("pass" if result == "pass" else "skip" if result == "skip" else "fail"), (
                    detail
                )
        raise MissingFactError(self.errors.get(probe, f"{probe} did not report {name}"))

    def _acts(self, name: str) -> list[Probe]:
        found = [p for p in self.run.probes if p.get("probe") == name and "error" not in p]
        if not found:
            raise MissingFactError(self.errors.get(name, f"{name} did not report"))
        return found
