# SPDX-License-Identifier: GPL-2.0-only
"""Lines in which a kernel says that something is wrong: any version, any architecture. Pure.

What a line is depends on how it begins, behind the prefix of printk: the words of a report within
a line are a driver's, or a program's. `SIGNS` find lines that may be meant, quickly, in many
megabytes; `KINDS` tell what they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from harness.model import Outcome
from harness.parse.dmesg import Dmesg, Line

MAX_TROUBLES = 200
"""Of each outcome; a flood of warnings hides no panic."""
_MAX_LINES = 1 << 16


class Trouble(NamedTuple):
    """A line of the kernel that tells of something wrong, at a position of the text."""

    outcome: Outcome
    line: Line
    at: int


_LOCKUP = r"(?:(?:NMI )?watchdog: )?"
_RCU = r"(?:rcu: )?(?:INFO: )?"
_TAIL = r"(?: [\w+-]+(?:=\w+)?)*\s*$"

KINDS: tuple[tuple[Outcome, re.Pattern[str]], ...] = tuple(
    (outcome, re.compile("|".join(patterns)))
    for outcome, patterns in (
        (
            Outcome.PANIC,
            (
                r"(?:---\[ end )?Kernel panic(?: - not syncing|: )",
                r"(?:traps: )?PANIC: (?:double fault|early exception)",
            ),
        ),
        (Outcome.BAD_PAGE, (r"BUG: Bad page", r"Bad page state (?:at|in process) ")),
        (
            Outcome.STALLED,
            (
                rf"{_LOCKUP}BUG: (?:soft lockup|workqueue lockup|spinlock lockup)",
                rf"{_LOCKUP}(?:BUG: )?(?:Watchdog|CPU \d+ |NMI Watchdog)[^\n]{{0,40}}"
                r"(?:[Hh]ard LOCKUP|detected LOCKUP)",
                rf"{_RCU}rcu\w* (?:self-)?detected (?:expedited )?stall",
                r"(?:rcu: )?rcu\w* kthread starved for ",
                r"INFO: task .{1,80} blocked (?:.{1,60} )?for more than \d+ seconds",
                r"sched_ext: .{1,80}runnable task stall",
            ),
        ),
        (
            Outcome.WARNING,
            (
                r"\[ (?:BUG|INFO|WARNING): .{1,80} \]",  # lockdep
                r"INFO: (?:possible |inconsistent |suspicious |trying to register non-static)",
                r"INFO: \S{1,40} -> \S{1,40} lock order detected",
                r"BUG: MAX_\w+ too low",
            ),
        ),
        (
            Outcome.OOPS,
            (
                r"BUG:(?:\s|$)",
                r"BUG [\w:.() /,-]{1,100}: (?=\S)",  # SLUB names the cache between the words
                r"[Kk]ernel BUG at ",
                r".{1,120}\[#\d{1,5}\]:?" + _TAIL,  # die() of nearly every architecture
                r"Oops(?:\[#\d|#?: [0-9a-f]{4,16}\b| \[#\d| - |$)",
                r"Oops: (?:general protection|invalid opcode|divide error|int3|stack segment)",
                r"Oops: (?:[Kk]ernel access|Exception in kernel|Machine check|Bad interrupt)",
                r"Internal error: ",
                r"(?:CPU \d+:? )?Unable to handle kernel ",
                r"general protection fault",
                r"\S{1,20} ?\(\d+\): (?:Oops|Kernel [Bb]ug|[\w ]{1,30} (?:fault|trap)) ?-?\d+",
                r"\S{1,20}\[\d+\]: (?:Oops|[\w ]{1,40}) \d+ \[\d+\]",  # ia64
                r"(?:Kernel Fault|Bad Address \(null pointer deref\?\)): Code=",  # parisc
                r"\S{1,20} \(pid \d+\): .{1,60} \(code \d+\)",
                r"\*\*\* [A-Z /]{3,40} \*\*\* +FORMAT=",  # m68k
                r"(?:Unhandled exception in kernel|Kernel mode fault at addr|Kernel bug detected)",
                r"(?:Slab corruption|slab error in |Fixing recursive fault but reboot)",
                r"(?:Bad mode in .{1,40} handler|SError Interrupt on CPU|Machine check in kernel)",
            ),
        ),
        (
            Outcome.WARNING,
            (
                r"WARNING:(?:\s|$)",
                r"UBSAN: ",
                r".{1,80}: page allocation (?:failure|stalls for)",
                r".{1,40}: vmalloc(?: error|: allocation failure)",
                r"vmap allocation for size \d+ failed",
                # a process with an oom_score_adj of 1000 asks for it, as our probe does
                r"(?!.*oom_score_adj[=:]1000\b)(?:.{1,40} invoked oom-killer|Out of memory: )",
                r"Memory cgroup out of memory: ",
                r"SL[AU]B: Unable to allocate memory",
                r"(?:refcount_t: |list_\w{1,20} corruption)",
                r"(?:irq \d+: nobody cared|Bad(?:ness) (?:at|in) )",
                r"kmemleak: \d+ new suspected memory leaks",
                r"unregister_netdevice: waiting for ",
                r"VFS: Busy inodes after unmount",
                r"(?:sysfs: cannot create duplicate filename|kobject_add_internal failed)",
                r"(?:Unhandled fault|Alignment trap): ",
                r"(?:scheduling while atomic|Debug: sleeping function called)",
            ),
        ),
    )
)

SIGNS = ("Kernel panic", "[#", "page allocation ", " invoked oom-killer")
"""Words of which one is in each line of the `KINDS` that may begin with anything."""

_BEGINS = (
    r"(?:BUG|WARNING|INFO: |\[ (?:BUG|INFO|WARN)|UBSAN|PANIC|traps: P|[Kk]ernel BUG|Kernel [Fbm]"
    r"|Oops|(?:NMI )?[Ww]atchdog: (?:BUG|Watch|CPU)|Watchdog |NMI Watchdog d|rcu: |rcu_"
    r"|CPU \d+:? Un|Unable to h|Internal error|general protection|Bad|Unhandled|\*\*\* |[Ss]lab "
    r"|SL[AU]B: U|Fixing|SError|Machine check i|vmap alloc|(?:Memory cgroup o|O)ut of mem"
    r"|refcount_t|list_|irq \d+: n|kmemleak: \d|unregister_n|VFS: Busy|sysfs: c|kobject_a"
    r"|Alignment|scheduling w|Debug: s|sched_ext: |\S{1,40}(?:: vmalloc| ?\((?:pid )?\d+\): )"
    r"|\S{1,20}\[\d+\]: [\w ]{1,40} \d+ \[\d)"
)
_STAMPED = (re.compile(r"\] " + _BEGINS), re.compile(r"\n<\d{1,3}>" + _BEGINS))
_PLAIN = (re.compile(r"\n[ \t]*+" + _BEGINS),)

_PROGRAM = re.compile(
    r"WARNING: (?!CPU: |at |\S+:\d+ at |possible |inconsistent |suspicious |bad un|held |lock )"
)
"""A warning of a program, where nothing tells lines of the kernel from others."""

_SCISSORS = ("-[ cut here ]-", "---[ end trace ")
"""Around a report whose first line is lost."""


def kind(line: Line, told: bool = True) -> Outcome | None:
    """What a line means; `told` says whether the kernel's lines can be told from a program's."""
    text = line.text if told else line.text.lstrip()  # an excerpt in a mail is often indented
    for outcome, pattern in KINDS:
        if pattern.match(text):
            return None if not told and _PROGRAM.match(text) else outcome
    return None


def find(console: Dmesg) -> list[Trouble]:
    """Each line of the kernel that tells of something wrong, in order, as often as is bounded."""
    told, begins = console.stamped, _STAMPED if console.stamped else _PLAIN
    found: dict[tuple[int, int], Trouble] = {}
    for sign in (*SIGNS, *begins):
        counts = dict.fromkeys(Outcome, 0)
        for count, (at, lines) in enumerate(console.around(sign)):
            if count > _MAX_LINES:
                break
            for part, line in enumerate(lines):
                # Where the kernel's lines can be told, another is of user space.
                outcome = kind(line, told) if line.printk or not told else None
                if outcome and counts[outcome] < MAX_TROUBLES:
                    counts[outcome] += 1
                    plain = line if told else line._replace(text=line.text.lstrip())
                    found.setdefault((at, part), Trouble(outcome, plain, at))
    if not found:
        return [*_remains(console, told)]
    return [found[key] for key in sorted(found)]


def _remains(console: Dmesg, told: bool) -> Iterator[Trouble]:
    for mark in _SCISSORS:
        for at, lines in console.around(mark):
            for line in lines:
                if mark in line.text and (line.printk or not told):
                    yield Trouble(Outcome.WARNING, line, at)
                    return
