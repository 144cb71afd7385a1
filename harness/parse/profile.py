# SPDX-License-Identifier: GPL-2.0-only
"""The instructions of a boot by function and by what called it, as a plugin of QEMU counted them.

harness/qemu/src/profile.c writes, when the guest reaches user space, else when QEMU ends,

    functions-by-stack 1
    counts stores|misses OF CACHE
    function NAME
    ...
    node DEPTH FUNCTION SELF CALLS
    ...
    span FUNCTION CALLS RETURNS FIRST LAST BUSY
    ...
    total INSTRUCTIONS lost FRAMES
    end user-space|early

The second line is there only where not instructions are counted, but stores, or the lines that a
cache of so many bytes has to fetch; all figures are of that then. FUNCTION is the number of a line
of the first kind, from 1, and nodes come as one goes through the tree: each one's callees follow
it, one deeper. Spans are those of the functions that it was asked for: the instructions of all CPUs
before the first call, at the last return, and from call to return.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from harness.model import Event
from harness.units import format_size

FIRST = "functions-by-stack 1"
MAX_BYTES = 256 << 20
MAX_DEPTH = 512
"""As in the plugin."""

FIRMWARE = "[firmware]"
"""Stands for all code below the kernel's half: the firmware, and what unpacks the kernel."""
UNKNOWN = "[unknown]"
"""Stands for code of the kernel's half before its first symbol."""

_FUNCTION = re.compile(r"function (\[?[\w.$@]{1,512}\]?)", re.A)
_NODE = re.compile(r"node (\d{1,4}) (\d{1,7}) (\d{1,18}) (\d{1,18})", re.A)
_COUNTS = re.compile(r"counts (?:(stores)|(misses) of (\d{1,15}))\n", re.A)
_SPAN = re.compile(r"span (\d{1,7}) (\d{1,18}) (\d{1,18}) (\d{1,18}) (\d{1,18}) (\d{1,18})", re.A)
_LAST = re.compile(r"total (\d{1,18}) lost (\d{1,18})\nend (user-space|early)\n", re.A)
_PART = re.compile(r"\.(?:cold|(?:isra|part|constprop|llvm)\.\d+)")


class Node(NamedTuple):
    """A function below those that called it, the nearest of which is the last one less deep."""

    depth: int
    function: str
    own: int
    """instructions of the function itself"""
    calls: int
    """how often it was called from there"""


class Cost(NamedTuple):
    """What a function took in all, wherever it was called from; instructions."""

    function: str
    own: int
    """of the function itself"""
    total: int
    """with all that it called; what it called by way of itself counts once"""
    calls: int


class Span(NamedTuple):
    """When a function ran, whoever ran meanwhile; instructions of all CPUs since reset."""

    calls: int
    returns: int
    first: int
    """executed before its first instruction"""
    last: int
    """executed at its last return; 0 where it never returned"""
    busy: int
    """from each call to its return, added up"""

    def __or__(self, other: Span) -> Span:
        """Both, as one function."""
        return Span(
            self.calls + other.calls,
            self.returns + other.returns,
            min(self.first, other.first),
            max(self.last, other.last),
            self.busy + other.busy,
        )


@dataclass(frozen=True)
class Profile:
    """The tree of all calls of a boot, from reset to the first instruction of user space.

    What the compiler made of one function (`NAME.cold`, `NAME.isra.0`) bears its name, and
    functions of one name are one. Callees stand in the order of their names.
    """

    nodes: tuple[Node, ...]
    whole: bool = True
    """whether user space was reached; else this is what there was until the boot ended"""
    lost: int = 0
    """calls deeper, or in more places, than are kept: they count for who made them"""
    spans: Mapping[str, Span] = field(default_factory=dict)
    """of functions that are phases, as far as they ran"""
    event: Event = "instructions"
    """what is counted: all that is called instructions here is that"""
    cache: int = 0
    """bytes of the cache whose misses are counted"""

    @property
    def unit(self) -> str:
        """What is counted, for people."""
        if self.event == "misses":
            return f"misses of a cache of {format_size(self.cache)}"
        return f"guest {self.event}"

    @cached_property
    def total(self) -> int:
        """Instructions of all functions."""
        return sum(node.own for node in self.nodes)

    @cached_property
    def totals(self) -> tuple[int, ...]:
        """For each node its own instructions and those of all below it."""
        sums = [node.own for node in self.nodes]
        for index, parent in reversed(list(enumerate(self._parents))):
            if parent >= 0:
                sums[parent] += sums[index]
        return tuple(sums)

    @cached_property
    def _parents(self) -> tuple[int, ...]:
        """For each node the index of its caller; -1 for none."""
        path: list[int] = []
        found = []
        for index, node in enumerate(self.nodes):
            del path[node.depth :]
            found.append(path[-1] if path else -1)
            path.append(index)
        return tuple(found)

    @cached_property
    def costs(self) -> dict[str, Cost]:
        """What each function took, the most expensive of its own first."""
        own, total, calls = Counter[str](), Counter[str](), Counter[str]()
        for (_, name, mine, called), size, path in self._walk():
            own[name] += mine
            calls[name] += called
            if name not in path:
                total[name] += size
        order = sorted(own, key=lambda name: (-own[name], name))
        return {name: Cost(name, own[name], total[name], calls[name]) for name in order}

    def _walk(self) -> Iterator[tuple[Node, int, list[str]]]:
        """Each node with its total and the names of its callers; the list is the same each time."""
        path: list[str] = []
        for node, size in zip(self.nodes, self.totals, strict=True):
            del path[node.depth :]
            yield node, size, path
            path.append(node.function)

    def below(self, names: Collection[str]) -> Profile:
        """What these functions took with all that they called, wherever they were called from."""
        tree = _Tree()
        for node, _, path in self._walk():
            at = next((n for n, name in enumerate((*path, node.function)) if name in names), None)
            if at is not None:
                tree.add(node.depth - at, node.function, node.own, node.calls)
        return replace(self, nodes=tree.nodes())

    def without(self, function: str) -> Profile:
        """The profile less what this function took with all that it called."""
        tree = _Tree()
        for node, _, path in self._walk():
            if function not in path and node.function != function:
                tree.add(*node)
        return replace(self, nodes=tree.nodes())

    def collapsed(self) -> Iterator[str]:
        """Lines ``CALLER;CALLEE COUNT``, as flame graph programs read them."""
        for node, _, path in self._walk():
            if node.own:
                yield f"{';'.join((*path, node.function))} {node.own}\n"

    def callgrind(self, command: str, creator: str) -> Iterator[str]:
        """The profile in the format of Callgrind, as KCachegrind reads it.

        What a function calls by way of itself is in its calls once.
        """
        own, calls = Counter[str](), Counter[tuple[str, str]]()
        spent = Counter[tuple[str, str]]()
        opened: list[tuple[str, str]] = []
        for node, size, path in self._walk():
            own[node.function] += node.own
            del opened[node.depth :]
            edge = (path[-1] if path else "", node.function)
            calls[edge] += node.calls
            if edge not in opened:
                spent[edge] += size
            opened.append(edge)
        callees: dict[str, list[str]] = {}
        for caller, callee in sorted(calls):
            callees.setdefault(caller, []).append(callee)
        yield (
            "# callgrind format\nversion: 1\n"
            f"creator: {creator}\ncmd: {command}\npositions: line\nevents: {self.event.title()}\n"
            f"summary: {self.total}\n\nfl=vmlinux\n"
        )
        for name in sorted(own):
            yield f"\nfn={name}\n0 {own[name]}\n"
            for callee in callees.get(name, ()):
                edge = (name, callee)
                yield f"cfn={callee}\ncalls={calls[edge]} 0\n0 {spent[edge]}\n"


_Branch = dict[str, list[Any]]
"""By name: instructions, calls, and the branch below."""


class _Tree:
    """Nodes that come as one goes through a tree, those of one name in one place put together."""

    def __init__(self) -> None:
        self._top: _Branch = {}
        self._path: list[_Branch] = [self._top]

    def add(self, depth: int, function: str, own: int, calls: int) -> None:
        """A node at most one deeper than the one before."""
        del self._path[depth + 1 :]
        found = self._path[depth].setdefault(function, [0, 0, {}])
        found[0] += own
        found[1] += calls
        self._path.append(found[2])

    def nodes(self) -> tuple[Node, ...]:
        found = []
        open_: list[tuple[int, str, list[Any]]] = [
            (0, name, entry) for name, entry in sorted(self._top.items(), reverse=True)
        ]
        while open_:
            depth, name, (own, calls, below) = open_.pop()
            found.append(Node(depth, name, own, calls))
            more = sorted(below.items(), reverse=True)
            open_ += [(depth + 1, callee, entry) for callee, entry in more]
        return tuple(found)


def read_profile(data: bytes) -> tuple[Profile | None, str | None]:
    """The profile, or what is wrong with the file."""
    text = data[:MAX_BYTES].decode("ascii", "replace")
    head, _, rest = text.partition("\n")
    last = _LAST.search(text, max(0, len(text) - 200))
    if head != FIRST or not last or last.end() != len(text):
        return None, "no profile, or not all of it"
    body = rest[: last.start() - len(head) - 1]
    event: Event = "instructions"
    cache = 0
    if match := _COUNTS.match(body):
        event, cache = ("stores", 0) if match[1] else ("misses", int(match[3]))
        body = body[match.end() :]
    names: list[str] = []
    parts: list[bool] = []
    spans: dict[str, Span] = {}
    tree, depth, total = _Tree(), -1, 0
    for line in body.splitlines():
        if match := _NODE.fullmatch(line):
            deeper, number, own, calls = (int(word) for word in match.groups())
            if not (deeper <= depth + 1 and deeper < MAX_DEPTH and 0 < number <= len(names)):
                return None, f"no place for {line[:80]!r}"
            # A part is no function that anybody calls.
            tree.add(deeper, names[number - 1], own, 0 if parts[number - 1] else calls)
            depth, total = deeper, total + own
        elif match := _FUNCTION.fullmatch(line):
            names.append(_PART.sub("", match[1]))
            parts.append(".cold" in match[1])
        elif match := _SPAN.fullmatch(line):
            number, *counts = (int(word) for word in match.groups())
            if not 0 < number <= len(names):
                return None, f"no place for {line[:80]!r}"
            name, span = names[number - 1], Span(*counts)
            spans[name] = spans[name] | span if name in spans else span
        else:
            return None, f"cannot read {line[:80]!r}"
    if total != int(last[1]):
        return None, f"{total} {event} in nodes, of {last[1]} counted"
    whole, lost = last[3] == "user-space", int(last[2])
    return Profile(tree.nodes(), whole, lost, spans, event, cache), None
