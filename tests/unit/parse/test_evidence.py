# SPDX-License-Identifier: GPL-2.0-only
"""Results of the guest, hostile ones among them."""

import json

import pytest

from harness.dataset import rows
from harness.model import Ending, Outcome, Run
from harness.parse import dmesg, evidence
from harness.results.folder import to_json
from tests.support.records import a_run


@pytest.mark.parametrize("depth", [101, 300, 100_000])
@pytest.mark.parametrize("ends", [b"]", b""])
def test_a_nested_result_is_unreadable_and_no_end_of_the_run(depth, ends):
    line = b'{"probe":"x","v":' + b"[" * depth + ends * depth + b"}"
    found = evidence.read_probes(line + b'\n{"probe":"done"}\n')
    assert [probe["probe"] for probe in found] == ["unreadable", "done"]
    to_json(a_run(probes=found))


BANNER = b"[    0.000000] Linux version 6.12.1 (x@y) #1 SMP\n"
INIT = b"[    1.500000] Run /init as init process\n"


def complete(folder, console: bytes, **more):
    """What is read from a boot whose console came in chunks, a line a second from 0.5 s on."""
    (folder / evidence.CONSOLE).write_bytes(console)
    chunks, offset = [], 0
    for number, text in enumerate(console.splitlines(keepends=True)):
        chunks.append(dmesg.Chunk(offset, len(text), number + 0.5))
        offset += len(text)
    (folder / evidence.PROBES).write_bytes(b'{"probe":"hello","cpus":2}\n{"probe":"done"}\n')
    evidence.index(folder, chunks)
    return evidence.complete(a_run(ending=Ending(cause="done"), **more), folder)


@pytest.mark.parametrize(
    ("console", "boot"),
    [
        (BANNER + INIT, (0.5, 1.5)),
        (BANNER, (0.5, 4.0)),
        (b"", (0.0, 4.0)),
        (b"[    1.100000] a warning of some kind\n", (0.0, 4.0)),
    ],
)
def test_a_quiet_boot_ends_for_the_host_with_its_first_result(tmp_path, console, boot):
    run = complete(tmp_path, console, first_result_s=4.0)
    found = [(p.start, p.end) for p in run.phases if (p.name, p.source) == ("boot", "host")]
    assert found == [boot]


def test_a_boot_of_before_results_had_a_time_has_no_such_phase(tmp_path):
    assert not complete(tmp_path, b"").phases


def test_a_guest_that_is_smaller_than_its_machine_is_not_ok(tmp_path):
    argv = ("qemu", "-smp", "8,sockets=8,cores=1,threads=1", "-m", "2048M")
    run = complete(tmp_path, BANNER + INIT, argv=argv)
    assert run.judgement.outcome is Outcome.SMALLER
    assert run.judgement.reason == "2 of the machine's 8 CPUs came up"
    again = complete(tmp_path, BANNER + INIT, argv=("qemu", "-smp", "2", "-m", "2048M"))
    assert again.judgement.outcome is Outcome.OK


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (b'{"probe":"x","a":{"\\ud800":1}}', "unreadable"),
        (b'{"probe":"x\\udfff"}', "unreadable"),
        (b'{"probe":"x","a":"\xed\xa0\x80"}', "unreadable"),
        (b'{"probe":"x","a":NaN}', "unreadable"),
        (b'{"probe":"x","a":' + b"9" * 9000 + b"}", "unreadable"),
        (b'{"probe":"x","a":' + b"9" * 400 + b"}", "x"),
        (b'{"probe":"x","a":1e400}', "x"),
        (b'{"probe":"x","a":18446744073709551615}', "x"),
    ],
)
def test_what_a_guest_says_ends_no_run(line, kept):
    """A lone surrogate was a traceback at that boot, and at every start after it."""
    found = evidence.read_probes(line + b'\n{"probe":"done"}\n')
    assert [probe["probe"] for probe in found] == [kept, "done"]
    run = a_run(probes=found)
    assert Run.model_validate_json(to_json(run).encode()).probes == found
    assert all(row["probe"] for row in rows.probe_rows(run))


def test_wide_results_are_cut_off_and_said_to_be():
    line = json.dumps({"probe": "x", **{f"k{n}": n for n in range(1000)}}).encode()
    found = evidence.read_probes(b"\n".join([line] * 200))
    assert sum(map(len, found)) <= evidence.MAX_FACTS + 2
    assert found[-1]["probe"] == "unreadable" and "left out" in found[-1]["error"]
    assert evidence.read_probes(line * 9000)[-1]["probe"] == "unreadable"
