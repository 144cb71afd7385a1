# SPDX-License-Identifier: GPL-2.0-only
"""Every parser of bytes that others wrote: whatever comes in, an answer or one error of ours.

`COUNTS` says how many inputs each gets in `make check`; FUZZ=100 multiplies them. Half of the
inputs are bytes, half are good ones with pieces cut out, put in, or swapped.
"""

import contextlib
import functools
import gzip
import io
import json
import os
import re
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.dataset import dataset
from harness.errors import HarnessError, RemoteError
from harness.gate import checks
from harness.guest import disk
from harness.hosts import archive, doctor, survey
from harness.hosts.inventory import Inventory
from harness.kernel import check as checkpatch
from harness.kernel import debian, fastpath, kconfig
from harness.model.base import Base
from harness.model.experiment import Experiment
from harness.model.lockfile import Lockfile
from harness.model.machine import Machine
from harness.model.run import Ending, Run
from harness.model.variant import Variant
from harness.parse import dmesg, evidence, idle, outcome, phases, read_profile, stores
from harness.qemu import plugin
from harness.results.folder import StoredRun, read_run
from harness.results.ledger import Ledger
from harness.ssh import KnownHosts
from tests.support.checkout import ROOT, bzimage
from tests.support.profiles import EAGER, written

GOLDEN = ROOT / "tests/golden"
REFERENCE = ROOT / "results/reference"
FUZZ = int(os.environ.get("FUZZ", "1"))

COUNTS = {
    "console": 500,
    "log of another": 500,
    "console.jsonl": 500,
    "probes.jsonl": 500,
    "stores.txt": 500,
    "idle.txt": 500,
    "profile.txt": 500,
    "run.json": 100,
    "gate probes": 100,
    "dataset of probes": 10,
    "answer of a host": 500,
    "known hosts": 500,
    "results of a block": 500,
    "outcome of a block": 500,
    "ledger": 100,
    "YAML models": 500,
    "lock": 50,
    "Debian indices": 500,
    "bzImage": 500,
    "disk image": 500,
    "System.map": 500,
    "disassembly": 500,
    "checkpatch": 500,
    ".config": 500,
}
"""Inputs by parser; docs/security.md has the same table."""
READERS = {}
"""The test of each, which tools/fuzz drives by other inputs."""


def fuzz(name, **strategies):
    """Runs a test with as many inputs as `COUNTS` says."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    limits = settings(
        max_examples=COUNTS[name] * FUZZ, deadline=None, suppress_health_check=slow, database=None
    )

    def mark(test):
        READERS[name] = limits(given(**strategies)(test))
        return READERS[name]

    return mark


HORRORS = (
    *(b"9" * n for n in (19, 26, 400, 5000)),
    *(
        b"1e400",
        b"-1e999",
        b"NaN",
        b"Infinity",
        b"1E+30",
        b"-9223372036854775809",
        b"0x" + b"f" * 99,
    ),
    *(rb"\ud800", rb'"\udfff": 1,', b"\xed\xa0\x80", b"\0", b"\x1b]0;x\x07", "\u202e".encode()),
    *(b"[" * 300, b'{"a":' * 300, b"<<: *a\n", b"&a [*a]", b"- " * 300),
)
"""What stops readers that take all that is well formed for sound."""


def damaged(*seeds):
    """Bytes, or one of the seeds with some pieces changed."""
    new = st.binary(max_size=40) | st.sampled_from(HORRORS)
    edit = st.tuples(st.floats(0, 1), st.integers(0, 40), new)

    def apply(drawn):
        data, edits = drawn
        for place, cut, new in edits:
            at = int(place * len(data))
            data = data[:at] + new + data[at + cut :]
        return data

    changed = st.tuples(st.sampled_from(seeds), st.lists(edit, max_size=6)).map(apply)
    return st.binary(max_size=200) | changed


def near(first, pattern):
    """The beginning of the first files of the reference datasets that match."""
    paths = sorted(REFERENCE.glob(pattern))[:first]
    assert paths, pattern
    return [gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes() for p in paths]


HUGE = st.integers(18, 4000).map(lambda digits: 10**digits) | st.integers().map(lambda n: n << 64)
"""Beyond 64 bits, beyond 1e308, as many digits as Python reads."""
LONE = st.text(st.characters(codec=None, min_codepoint=0xD7F0, max_codepoint=0xE00F), max_size=4)
"""Halves of surrogate pairs among them."""
TEXT = st.text(max_size=8) | LONE
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | HUGE
    | HUGE.map(lambda n: -n)
    | st.floats()
    | st.integers(1, 400).map(lambda n: functools.reduce(lambda inner, _: [inner], range(n), 0))
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
CONSOLES = [
    (GOLDEN / "console" / f"{name}.log").read_bytes()[:6000]
    for name in ("grow-1t", "lkdtm-6.12-oops", "tcg-stale-int3", "debian-6.1-panic")
]
RUN = near(1, "quick/runs/eager/*/time/000/run.json")[0]


@fuzz("console", data=damaged(*CONSOLES))
def test_console(data):
    console = dmesg.read(data)
    for clock, shift in (("time", 0), ("work", 3)):
        found = phases.read_phases(console, clock, shift)
        judged = outcome.judge(console, Ending(cause="guest-reset"), found, False)
        assert len(judged.excerpt) < 200 and all(len(n) <= 5000 for n in judged.excerpt)
    dmesg.host_stamps_from_jsonl(dmesg.to_jsonl(console))


KEPT = [path.read_bytes() for path in sorted((GOLDEN / "logs").glob("*.log"))]


@fuzz("log of another", data=damaged(*KEPT))
def test_log_of_another(data):
    report = outcome.report(data)
    json.dumps(report)
    assert report["boots"] >= 0 and len(report["excerpt"]) <= outcome.EXCERPT


@fuzz("console.jsonl", data=damaged(*near(1, "quick/runs/eager/*/time/000/console.jsonl*")))
def test_console_index(data):
    chunks = dmesg.host_stamps_from_jsonl(data[:20000].decode("utf-8", "replace"))
    assert [c.offset for c in chunks] == sorted({c.offset for c in chunks})


PROBES = (GOLDEN / "gate/eager.jsonl").read_bytes()


@fuzz("probes.jsonl", data=damaged(PROBES[:4000]))
def test_probes(data):
    assert all(isinstance(p["probe"], str) for p in evidence.read_probes(data))


@fuzz("stores.txt", data=damaged(*near(2, "locality/runs/*/*/work/000/stores.txt*")))
def test_stores(data):
    counted, fault = stores.read(data, ())
    assert (fault is None) or counted == ()


@fuzz("idle.txt", data=damaged(b"idle-by-clock 1\n188 54\n432 57\n1000 600\nend\n"))
def test_idle(data):
    found, fault = idle.read(data)
    assert found is None or (fault is None and 0 <= found.until(500) <= found.until(10**18))


@fuzz("profile.txt", data=damaged(written(EAGER).encode()))
def test_profile(data):
    found, fault = read_profile(data)
    assert (found is None) == bool(fault)
    if found:
        assert found.total == sum(cost.own for cost in found.costs.values())
        assert "".join(found.callgrind("linux", "pageinit")).count("fn=") >= len(found.costs)


PLACES = st.lists(st.integers(0, 10**6), min_size=1, max_size=5)


def changed(value, place, new):
    """A value, in one place of which there is another one."""
    if not isinstance(value, dict | list) or not value:
        return new
    keys = list(value) if isinstance(value, dict) else range(len(value))
    at = keys[place[0] % len(keys)]
    found = value.copy()
    found[at] = changed(value[at], place[1:], new) if len(place) > 1 else new
    return found


ODD = st.tuples(PLACES, VALUES).map(lambda at: json.dumps(changed(json.loads(RUN), *at)).encode())


@fuzz("run.json", data=damaged(RUN) | ODD)
def test_run(data):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "run.json")
        path.write_bytes(data)
        try:
            run = read_run(path)
        except HarnessError:
            return
        found = dataset.tabulate([StoredRun(run, Path(name))], None)
        assert not found.damage
        dataset.write(found, Path(name))
        with contextlib.suppress(HarnessError):
            evidence.complete(run, Path(name))


KEYS = sorted({key for line in PROBES.splitlines() for key in json.loads(line)})
PROBE = st.fixed_dictionaries(
    {"probe": st.sampled_from(["meminfo", "zoneinfo", "freelist", "census", "fill", "touch_total"])}
) | st.sampled_from([json.loads(line) for line in PROBES.splitlines()])
HOSTILE = st.lists(
    st.tuples(PROBE, st.dictionaries(st.sampled_from(KEYS) | TEXT, VALUES)).map(
        lambda pair: pair[0] | pair[1] | {"probe": pair[0]["probe"]}
    ),
    max_size=6,
)
BOOTED = Run.model_validate_json(RUN)


@fuzz("gate probes", probes=HOSTILE)
def test_gate_probes(probes):
    probes = evidence.read_probes("\n".join(map(json.dumps, probes)).encode())
    run = BOOTED.model_copy(update={"probes": probes})
    for check in checks.judge(run, "eager", "debug", run):
        assert check.result in ("pass", "fail", "skip")


@fuzz("dataset of probes", probes=HOSTILE)
def test_dataset_of_probes(probes):
    probes = evidence.read_probes("\n".join(map(json.dumps, probes)).encode())
    run = BOOTED.model_copy(update={"probes": probes})
    found = dataset.tabulate([StoredRun(run, Path("runs/x"))], None)
    with tempfile.TemporaryDirectory() as name:
        dataset.write(found, Path(name))


@fuzz("answer of a host", data=damaged(f"{survey.MARK}{json.dumps(survey.facts())}\n".encode()))
def test_answer(data):
    try:
        doctor.read_answer(data)
    except RemoteError as error:
        assert str(error).isprintable()


KNOWN = b"[a]:22 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7c0RZ2\n"
KNOWN += b"@revoked * ssh-rsa AAAA\n|1|a|b ssh-rsa A\n"


@fuzz("known hosts", data=damaged(KNOWN))
def test_known_hosts(data):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "known_hosts")
        path.write_bytes(data)
        assert isinstance(KnownHosts([path]).kinds("a", 22), tuple)


RESULTS = {"runs/a/run.json": b"{}" * 50, "runs/a/console.log": b"", "outcome.json": b"12"}


def packed(names):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for name, content in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return data.getvalue()


@fuzz("results of a block", data=damaged(packed(RESULTS)))
def test_results_of_a_block(data):
    with tempfile.TemporaryDirectory() as name:
        for number, sent in enumerate((gzip.compress(data), data)):
            with contextlib.suppress(RemoteError):
                archive.unpack(sent, Path(name, f"into{number}"), 1, most=10_000)
        found = [path for path in Path(name).rglob("*") if not path.is_dir()]
        assert all(path.is_file() and not path.is_symlink() for path in found)
        assert sum(path.stat().st_size for path in found) <= 20_000


OUTCOMES = (b'{"cause": "ended", "status": 1}', b'{"cause": "lost", "status": 0}', b"[" * 9000)


@fuzz("outcome of a block", data=damaged(*OUTCOMES), said=st.booleans())
def test_outcome_of_a_block(data, said):
    intake = pytest.importorskip("harness.hosts.intake")
    with tempfile.TemporaryDirectory() as name:
        for file in ("outcome.json", "log")[: 1 + said]:
            Path(name, file).write_bytes(data)
        try:
            intake.check_outcome(Path(name))
        except RemoteError as error:
            assert str(error).isprintable() and len(str(error)) < 500
        else:
            assert json.loads(data) == {"cause": "ended", "status": 0}


@fuzz("ledger", data=damaged(b'{"at_utc":"x","block":"m/time/000","attempt":1,"host":"h"}\n'))
def test_ledger(data):
    with tempfile.TemporaryDirectory() as name:
        ledger = Ledger(Path(name))
        ledger.path.write_bytes(data)
        before = len(ledger.read()[0])
        assert ledger.begin("m/work/001", "h") >= 1
        assert len(ledger.read()[0]) == before + 1


MODELS = {
    Machine: "qemu-configs/quad-16g.yaml",
    Experiment: "experiments/scale.yaml",
    Variant: "kernel-patches/variants/lazy.yaml",
    Base: "kernel-patches/bases/6.12.yaml",
}
HOSTS = b"hosts:\n  a: {address: b, user: c, memory: 1GiB, cores: 1, jump: b}\n"
HOSTS += b"  b: {address: b, user: c, memory: 1GiB, cores: 1, labels: [x]}\n"
YAMLS = [(m, (ROOT / path).read_bytes()) for m, path in MODELS.items()] + [(Inventory, HOSTS)]


@fuzz(
    "YAML models",
    data=st.sampled_from(YAMLS).flatmap(lambda y: st.tuples(st.just(y[0]), damaged(y[1]))),
)
def test_yaml(data):
    model, text = data
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "x.yaml")
        path.write_bytes(text)
        try:
            model.load(path)
        except HarnessError as error:
            assert error.where == str(path)


@pytest.mark.parametrize("text", ["[" * 20_000, "a: " + "{a: " * 20_000, "- " * 20_000])
def test_yaml_that_nests_deeper_than_any_stack(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(HarnessError, match="not YAML"):
        Machine.load(tmp_path / "x.yaml")


@fuzz("lock", data=damaged(near(1, "quick/experiment.lock.yaml")[0][:3000]))
def test_lock(data):
    try:
        Lockfile.from_yaml(data.decode("utf-8", "replace"), "x")
    except HarnessError as error:
        assert error.where == "x"


INDEX = b"Package: linux-image-6.1\nVersion: 6.1.0-1\nSize: 123\nSHA256: 00ff\n"
INDEX += b"Depends: a (= 1), b | c\n"


@fuzz("Debian indices", data=damaged(INDEX, b" pkg | 6.1-1 | http://x main\n"))
def test_debian_indices(data):
    text = data.decode("utf-8", "replace")
    debian.madison(text)
    package = debian.described(text)
    if package:
        assert package.size >= 0
        with contextlib.suppress(HarnessError):
            debian.dependency(package, r"[a-z]+")


IMAGES = [bzimage("6.1"), bzimage("6.1")[:0x248], bzimage("6.1") + b"\x1f\x8b\x08" + bytes(30)]
IMAGES.append(
    bzimage("6.1")[:0x248] + bytes(4) + b"\xff\0\0\0" + bytes(0xA00) + gzip.compress(b"x")
)


@fuzz("bzImage", data=damaged(*IMAGES))
def test_bzimage(data):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "bzImage")
        path.write_bytes(data)
        for read in (debian.read_image, lambda p: fastpath.vmlinux(p.read_bytes(), "x")):
            with contextlib.suppress(HarnessError):
                read(path)


DISKS = (
    b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(96),
    b"QFI\xfb" + (3).to_bytes(4, "big") + (104).to_bytes(8, "big") + bytes(88) + b"/etc/shadow",
)


@fuzz("disk image", data=damaged(*DISKS))
def test_disk_image(data):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "disk")
        path.write_bytes(data)
        with contextlib.suppress(HarnessError):
            found = disk.read(path, Path(name))
            # As qcow2 only what names no other file; anything else is not looked into by QEMU.
            whole = not any(data[8:16])
            assert whole if data.startswith(b"QFI\xfb") else found.format == "raw"


MAP = b"".join(
    b"%016x %s %s\n" % (0xFFFFFFFF81000000 + 64 * n, kind, name)
    for n, (kind, name) in enumerate(
        [
            (b"T", b"_text"),
            (b"t", b"rmqueue"),
            (b"t", b"a.cold"),
            (b"T", b"_etext"),
            (b"b", b"marks"),
        ]
    )
)


@fuzz("System.map", data=damaged(MAP))
def test_system_map(data):
    text = data.decode("utf-8", "replace")
    for function in fastpath.functions(text):
        assert function.start <= function.end
    machine = Machine.load(ROOT / "qemu-configs/quad-16g.yaml")
    assert plugin.obstacle(machine, text) is None or True


LISTING = (
    b"ffffffff81000000 <f>:\nffffffff81000000:\tpush   %rbx\nffffffff81000001:\tcall   1 <g>\n"
)


@fuzz("disassembly", data=damaged(LISTING))
def test_disassembly(data):
    fastpath.mnemonics(data.decode("utf-8", "replace"))


@fuzz("checkpatch", data=damaged(b"0001-x.patch:12: WARNING:LONG_LINE: line length of 120\n"))
def test_checkpatch(data):
    checkpatch.parse(data.decode("utf-8", "replace"))


@fuzz(".config", data=damaged(b'CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="x"\nCONFIG_D=0x10\n'))
def test_config(data):
    with contextlib.suppress(HarnessError):
        kconfig.missing(kconfig.parse(data.decode("utf-8", "replace"), "x"), {})


def test_the_counts_are_those_of_the_document():
    text = (ROOT / "docs/security.md").read_text().partition("`tools/fuzz` leads")[0]
    table = dict(re.findall(r"^\| ([^|]+?) \| [^|]+ \| (\d+) \|", text, re.M))
    assert table == {name: str(count) for name, count in COUNTS.items()}
