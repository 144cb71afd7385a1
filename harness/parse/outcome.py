# SPDX-License-Identifier: GPL-2.0-only
"""How a boot ended: from what the host saw and what the console says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.model import GOOD, Ending, Judgement, Outcome, Phase
from harness.parse import boots, dmesg, formats, phases, trouble
from harness.parse.dmesg import Dmesg
from harness.parse.trouble import Trouble

_INT3 = "cc"
_CODE = re.compile(r"Code: (?:[0-9a-f]{2} )*([0-9a-f]{2}) <[0-9a-f]{2}>")
"""The bytes around RIP as an oops shows them; an int3 lies before RIP."""

EARLIER = 20
"""Boots before the last whose outcome is told."""

EXCERPT = 40
"""Lines of the console around the trouble that a judgement keeps."""

_SEVERITY = (Outcome.PANIC, Outcome.OOPS, Outcome.BAD_PAGE)
_BY_CAUSE = {
    "build-failed": Outcome.BUILD_FAILED,
    "start-refused": Outcome.START_REFUSED,
    "no-output": Outcome.NO_OUTPUT,
    "no-progress": Outcome.STALLED,
    "deadline": Outcome.DEADLINE,
    "guest-reset": Outcome.REBOOT_LOOP,
    "guest-shutdown": Outcome.INCOMPLETE,
    "exited": Outcome.INCOMPLETE,
    "failure": Outcome.OOPS,
    "no-visit": Outcome.INCOMPLETE,
}
_WITHOUT_WORDS = {
    "exited": "it ends before user space reported",
    "guest-shutdown": "the guest switched itself off before its probes had reported",
    "guest-reset": "the guest reset itself without a word",
    "no-output": "nothing came",
    "no-progress": "nothing new came",
    "deadline": "it took longer than the machine's deadline_s, scaled for the accelerator",
}
"""What to say of a cause that comes without a detail."""

_MILESTONES = (
    ("Linux version ", "setup_arch"),
    ("Zone ranges:", "memmap_init"),
    ("Kernel command line: ", "mm_core_init"),
    ("Memory: ", "memblock_free_all"),
    ("smp: Bringing up secondary CPUs", "smp_init"),
    ("smp: Brought up ", "page_alloc_init_late"),
    ("devtmpfs: initialized", "initcalls"),
    ("Freeing unused kernel", "initcalls"),
    ("Freeing init memory", "initcalls"),
    (phases.INIT, "user space"),
)
"""Lines by which a boot without marks tells how far it came."""


def judge(
    console: Dmesg,
    ending: Ending,
    found: Sequence[Phase],
    done: bool,
    *,
    marked: bool = True,
) -> Judgement:
    """The outcome of a boot; `done` tells that the last probe reported. Never raises.

    Without `marked` a kernel that should print marks is not asked for them.
    """
    return _judge(console, ending, found, done, trouble.find(console), marked=marked)


def _judge(
    console: Dmesg,
    ending: Ending,
    found: Sequence[Phase],
    done: bool,
    troubles: Sequence[Trouble],
    *,
    marked: bool = True,
) -> Judgement:
    outcome, reason = _outcome(console, ending, tuple(found), done, troubles, marked=marked)
    return Judgement(
        outcome=outcome,
        reason=reason,
        emulator_defect=_stale_breakpoint(console),
        last_phase=last_phase(console, found),
        last_stamp_s=console.last_stamp_s,
        excerpt=_excerpt(console, outcome, troubles),
    )


_SAID = (
    "Kernel command line: ",
    "Zone ranges:",
    "smp: Brought up ",
    "devtmpfs: initialized",
    "Freeing unused kernel",
    "Freeing init memory",
)


@dataclass(frozen=True)
class BootReport:
    """What a boot log says by itself. All text is the guest's: escape it before it is shown."""

    outcome: Outcome
    reason: str
    """the line that decided, where the boot went wrong"""
    emulator_defect: str | None
    """the defect of QEMU's TCG that ended it, where it was no fault of the kernel"""
    banner: str | None
    version: str | None
    boots: int
    """boots in the log: the last is judged, and all but `earlier` is of it"""
    earlier: tuple[Outcome, ...]
    """how those before it ended, the last `EARLIER` of them"""
    command_line: str | None
    phases: tuple[Phase, ...]
    """in the order of their begin; seconds, instructions where the log is one of the work clock"""
    missing: tuple[str, ...]
    """marks that this kernel should have printed and has not; none where it prints no marks"""
    last_phase: str | None
    last_stamp_s: float | None
    early_stamps_unknown: int
    """lines with a stamp of 0.000000, from before the clock was there"""
    lines: int
    truncated: bool
    """whether the log was longer than is read"""
    excerpt: tuple[str, ...]
    """at most `EXCERPT` lines around the trouble"""

    def plain(self) -> dict[str, Any]:
        """The same as JSON has it."""
        phases = [phase.model_dump(mode="json", exclude_none=True) for phase in self.phases]
        lists = {name: [*getattr(self, name)] for name in ("missing", "excerpt", "earlier")}
        return {**vars(self), "outcome": self.outcome.value, "phases": phases, **lists}


def parse_log(data: bytes, late: str = "") -> BootReport:
    """Any Linux boot log, ours or not, without the host that saw it end.

    `data` are the bytes of a serial console, of dmesg or of a journal, at most so many of them as
    `dmesg` reads. Of several boots the last is judged. `late` says why nobody waited for more.
    Total: any bytes give a report, none raise.
    """
    whole = dmesg.read_any(data)
    parts = boots.split(whole)
    console, before = parts[-1], parts[-1 - EARLIER : -1]
    found = phases.read_phases(console, zero=len(parts) == 1)
    earlier = [_judge_alone(part).outcome for part in before]
    again = len(parts) if earlier and earlier[-1] not in GOOD else 0
    judgement = _judge_alone(console, found, again, late)
    return BootReport(
        outcome=judgement.outcome,
        reason=judgement.reason,
        emulator_defect=judgement.emulator_defect,
        banner=console.banner,
        version=console.version,
        boots=len(parts) if console.banner else 0,
        earlier=tuple(earlier),
        command_line=console.command_line,
        phases=tuple(found),
        missing=tuple(phases.missing(console, found) if phases.has_marks(console) else ()),
        last_phase=judgement.last_phase,
        last_stamp_s=judgement.last_stamp_s,
        early_stamps_unknown=console.early_stamps_unknown,
        lines=whole.text.count("\n") + (not whole.text.endswith("\n")),
        truncated=whole.truncated,
        excerpt=tuple(judgement.excerpt),
    )


def _judge_alone(
    console: Dmesg, found: Sequence[Phase] = (), again: int = 0, late: str = ""
) -> Judgement:
    """The judgement of a boot whose end nobody saw: the log has to tell.

    It is the last of `again` boots, of which the one before came to no good end.
    """
    troubles = trouble.find(console)
    known = bool(console.banner or console.stamped or troubles or _says(console))
    reached = known and boots.reached(console)
    if reached:
        ending = Ending(cause="done")
    elif not console.text.strip():
        ending = Ending(cause="no-output")
    elif late and not again:
        ending = Ending(cause="deadline", detail=late)
    elif not known:
        ending = Ending(cause="exited", detail="no line of a kernel is in this text")
    elif any(one.outcome is Outcome.STALLED for one in troubles):
        ending = Ending(cause="no-progress", detail="user space did not begin")
    elif again:
        times = f"the kernel began {again} times and did not come to user space"
        ending = Ending(cause="guest-reset", detail=times)
    else:
        ending = Ending(cause="exited")
    return _judge(console, ending, found, reached, troubles)


def report(data: bytes) -> dict[str, Any]:
    """`parse_log` as JSON has it."""
    return parse_log(data).plain()


def _outcome(
    console: Dmesg,
    ending: Ending,
    found: tuple[Phase, ...],
    done: bool,
    troubles: Sequence[Trouble],
    *,
    marked: bool,
) -> tuple[Outcome, str]:
    if ending.cause in ("build-failed", "start-refused"):
        return _BY_CAUSE[ending.cause], ending.detail
    for severe in _SEVERITY:
        if worst := next((t for t in troubles if t.outcome is severe), None):
            first = troubles[0]
            before = f"; first: {first.line.text}" if first is not worst else ""
            return severe, _bounded(worst.line.text + before)
    # A guest that lets visitors in may say that it is done when it is not.
    if (not done and ending.cause != "done") or ending.cause == "no-visit":
        return _unfinished(ending, troubles)
    absent = phases.missing(console, found) if marked and phases.has_marks(console) else ()
    if absent:
        return Outcome.INCOMPLETE, _bounded(f"marks that never came: {', '.join(absent)}")
    if troubles:
        return Outcome.WARNING, _bounded(troubles[0].line.text)
    return Outcome.OK, ""


def _unfinished(ending: Ending, troubles: Sequence[Trouble]) -> tuple[Outcome, str]:
    if ending.signal:
        by = f": {ending.detail}" if ending.detail else ""
        return Outcome.KILLED, _bounded(f"QEMU was killed by {ending.signal}{by}")
    stall = next((t for t in troubles if t.outcome is Outcome.STALLED), None)
    if stall and ending.cause in ("no-progress", "deadline"):
        seen = f"; {ending.detail}" if ending.detail else ""
        return Outcome.STALLED, _bounded(stall.line.text + seen)
    said = [ending.detail or _WITHOUT_WORDS.get(ending.cause, "")]
    if troubles:
        said.insert(0, troubles[0].line.text)
    return _BY_CAUSE[ending.cause], _bounded("; ".join(said))


def _stale_breakpoint(console: Dmesg) -> str | None:
    """An int3 trap at an address where memory holds no int3: the CPU ran code of the past.

    The kernel puts an int3 over an instruction while it patches it and takes it away when every
    CPU has synchronised. QEMU before 8.1 can lose a race between a write to code and its
    translation (fixed by its commit deba78709ae8), and the trap finds nobody who expects it.
    """
    for at, _ in console.find("Oops: int3: "):
        code = _CODE.search(console.text, at, at + 4100)
        if code and code[1] != _INT3:
            return "int3 trap where memory has no int3: stale translation of QEMU before 8.1"
    return None


def last_phase(console: Dmesg, found: Sequence[Phase]) -> str | None:
    """The last phase that a boot reached, by its marks or else by its lines."""
    marks = [p for p in found if p.source == "mark" and p.name != "boot"]
    if marks:
        return max(marks, key=lambda phase: phase.end).name
    reached = _milestones(console)
    return reached[-1] if reached else None


def _says(console: Dmesg) -> bool:
    """Whether a line begins with words that every kernel says."""
    found = ((text, console.first(text)) for text in _SAID)
    return any(line and line.text.startswith(text) for text, line in found)


def _milestones(console: Dmesg) -> list[str]:
    return [name for text, name in _MILESTONES if console.first(text)]


def _excerpt(console: Dmesg, outcome: Outcome, troubles: Sequence[Trouble]) -> tuple[str, ...]:
    """The lines from the trouble on; where there is none and the boot failed, the last lines."""
    if troubles:
        worst = next((t for t in troubles if t.outcome is outcome), troubles[0])
        lines = console.text[worst.at : worst.at + EXCERPT * 400].split("\n")[:EXCERPT]
    elif outcome is Outcome.OK:
        return ()
    else:
        lines = console.text[-EXCERPT * 400 :].rstrip("\n").split("\n")[-EXCERPT // 2 :]
    if console.tagged:
        lines = [line.removeprefix(formats.KERNEL) for line in lines]
    return tuple(_bounded(line) for line in lines)


def _bounded(text: str) -> str:
    return text if len(text) <= 400 else text[:399] + "…"
