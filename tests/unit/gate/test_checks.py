# SPDX-License-Identifier: GPL-2.0-only
"""The judgement of the gate, from recorded output of its probes and from what is wrong in it."""

import copy
import json

import pytest

from harness.dataset import dataset
from harness.gate import checks as gate
from harness.gate.checks import Check
from harness.model.experiment import Experiment
from harness.model.lockfile import Lockfile
from harness.model.machine import Machine
from harness.model.run import Ending, Environment, Judgement, Kernel, Outcome, Run
from harness.model.variant import Variant
from harness.parse import evidence
from harness.project import Project
from harness.report import render
from harness.results.folder import Results, StoredRun
from tests.support.checkout import ROOT

GOLDEN = ROOT / "tests/golden/gate"
ENVIRONMENT = Environment(
    host="h",
    host_cpu="c",
    host_cpus=2,
    host_memory_bytes=1 << 34,
    host_kernel="6",
    qemu_version="7.2.22",
    accel="tcg",
    thp=False,
    harness_version="0",
)


def recorded(name: str) -> list[dict]:
    """What the probes of a real boot reported."""
    return list(evidence.read_probes((GOLDEN / f"{name}.jsonl").read_bytes()))


def run(probes, variant="grow", *, outcome=Outcome.OK, cause="done", image="a", reason="") -> Run:
    return Run(
        run_id=f"id-{variant}",
        variant=variant,
        machine=gate.MACHINE,
        clock="time",
        block=0,
        started_utc="t",
        kernel=Kernel(kernel_id=image, base_version="6", image_sha256=image),
        environment=ENVIRONMENT,
        ending=Ending(cause=cause),
        judgement=Judgement(outcome=outcome, reason=reason),
        probes=tuple(probes),
    )


def verdicts(mine: Run, eager: Run | None) -> dict[str, Check]:
    return {check.check: check for check in gate.judge(mine, "grow", "measured", eager)}


def fails(mine: Run, eager: Run | None) -> set[str]:
    return {name for name, check in verdicts(mine, eager).items() if check.result == "fail"}


@pytest.fixture
def eager() -> Run:
    return run(recorded("eager"), "eager")


def change(probes, probe, last=False, **values):
    """The record with values of the first such probe of it changed, or of the last."""
    changed = copy.deepcopy(probes)
    found = [p for p in changed if p["probe"] == probe]
    found[-1 if last else 0].update(values)
    return changed


def test_a_good_boot_passes_every_check(eager):
    assert fails(run(recorded("eager"), image="b"), eager) == set()
    assert list(verdicts(eager, eager)) == list(gate.CHECKS)


def late(probes, pages):
    """The record of a kernel that had the memmap of late memory from its page allocator."""
    changed = copy.deepcopy(probes)
    for p in changed:
        if p["probe"] == "meminfo":
            p |= {"memmap_pages": pages, "mem_total_bytes": p["mem_total_bytes"] + pages * 4096}
    for p in (p for p in changed if p["probe"] == "zoneinfo" and p["node"] == 3):
        p["managed_pages"] += pages
    return changed


def test_the_memmap_of_late_memory_is_managed_memory_in_use(eager):
    probes = recorded("eager")
    assert fails(run(late(probes, 4096), image="b"), eager) == set()
    lying = change(late(probes, 4096), "meminfo", memmap_pages=0)
    assert {"totals", "used-memory"} <= fails(run(lying, image="b"), eager)
    lost = bump("census", "lost_blocks", 7)(late(probes, 4096))
    assert "lost-memory" in fails(run(lost, image="b"), eager)
    assert "lost-memory" not in fails(
        run(bump("census", "lost_blocks", 4)(late(probes, 4096))), eager
    )


def test_a_grown_zone_may_have_whole_blocks_on_per_cpu_lists(eager):
    def lost(blocks, listed):
        probes = recorded("eager")
        for p in (p for p in probes if p.get("node") == 2):
            if p["probe"] == "census":
                p |= {"lost_blocks": blocks, "first_lost_pfn": 1}
            if p["probe"] == "zoneinfo":
                p["percpu_pages"] = listed
        return "lost-memory" in fails(run(probes), eager)

    assert not lost(2, 2048) and not lost(2, 3000)
    assert lost(2, 2047) and lost(3, 2048)


def bump(probe: str, key: str, by: int, last: bool = False):
    """A mutation of a record: one number of one probe is off by that much."""

    def mutate(probes):
        changed = copy.deepcopy(probes)
        found = [p for p in changed if p["probe"] == probe]
        found[-1 if last else 0][key] += by
        return changed

    return mutate


@pytest.mark.parametrize(
    ("mutate", "check"),
    [
        (bump("zoneinfo", "spanned_pages", 1), "totals"),
        (bump("zoneinfo", "present_pages", -1), "totals"),
        (bump("zoneinfo", "managed_pages", -1024), "totals"),
        (bump("meminfo", "mem_total_bytes", -(1 << 23)), "totals"),
        (bump("zoneinfo", "free_pages", -512), "used-memory"),
        (bump("zoneinfo", "free_pages", -8192), "free-lists"),
        (bump("census", "lost_blocks", 3), "lost-memory"),
        (bump("census", "free_mapped_pages", 1), "census"),
        (bump("census", "hwpoison_pages", 1), "census"),
        (bump("census", "free_mapped_pages", 1, True), "census-after"),
        (bump("freelist", "typed_pages", 8192), "free-lists"),
        (lambda probes: change(probes, "freelist", free_pages=8192), "free-lists"),
        (bump("freelist", "buddy_pages", 1 << 17, True), "free-lists-after"),
        (bump("freelist", "block_pages", -2048), "free-lists"),
        (bump("zoneinfo", "managed_pages", 1, True), "totals-after"),
        (bump("fill", "wrong_pages", 1), "pattern"),
        (bump("fill", "dirty_pages", 1), "pattern"),
        (bump("fill", "free_full_bytes", 1 << 26), "mem-free"),
        (bump("fill", "free_full_bytes", -(1 << 25)), "mem-free"),
        (bump("fill", "free_after_bytes", -(1 << 25)), "mem-free"),
        (bump("oom", "available_bytes", 1 << 30), "mem-free"),
        (bump("oom", "free_after_bytes", -(1 << 26)), "oom"),
        (bump("oom", "signal", 2), "oom"),
    ],
)
def test_each_check_finds_what_it_is_there_for(eager, mutate, check):
    probes = recorded("eager")
    for p in probes:
        if p["probe"] == "census":
            p.setdefault("first_free_mapped_pfn", 7)
            p.setdefault("first_lost_pfn", 7)
    assert check in fails(run(mutate(probes), image="b"), eager)


def test_pages_in_the_wrong_place_are_counted_with_where(eager):
    wrong = {"astray_pages": 0, "mislabelled_pages": 256, "first_bad_pfn": 0x1000}
    mine = run(change(recorded("eager"), "fill", **wrong))
    check = verdicts(mine, eager)["places"]
    assert check.result == "fail"
    assert "256 say that they do; first pfn 0x1000" in check.detail


def test_the_same_image_has_to_have_the_same_pages(eager):
    probes = bump("zoneinfo", "managed_pages", -1)(recorded("eager"))
    assert "totals" in fails(run(probes, image="a"), eager)
    assert "totals" not in fails(run(probes, image="b"), eager)


def test_pages_that_are_not_shown_yet_may_be_free_and_on_no_list(eager):
    probes = recorded("eager")
    zone = [p for p in probes if p["probe"] == "freelist"][-1]["node"]
    first = next(p for p in probes if p["probe"] == "freelist" and p["node"] == zone)
    for key in ("buddy_pages", "typed_pages", "block_pages"):
        first[key] -= 4096
    assert "free-lists" in fails(run(probes), eager)
    next(p for p in probes if p["probe"] == "census" and p["node"] == zone)["nopage_pages"] = 4096
    assert "free-lists" not in fails(run(probes), eager)


def test_what_was_not_reported_has_failed(eager):
    reason = "BUG: something"
    dead = run([], outcome=Outcome.OOPS, cause="failure", reason=reason)
    found = verdicts(dead, eager)
    assert {check.result for check in found.values()} == {"fail"}
    assert all(reason in check.detail for check in found.values())


@pytest.mark.parametrize("probe", gate.PROBES.run[1:])
def test_each_probe_is_missed(eager, probe):
    checks = {"huge": "thp", "migrate": "migration", "compact": "compaction"}
    names = {probe, checks.get(probe, ""), {"block": "memory-blocks"}.get(probe, "")}
    left = [p for p in recorded("eager") if p["probe"] not in names and p.get("check") not in names]
    assert fails(run(left), eager)


def test_a_probe_that_was_killed_says_so(eager):
    left = [p for p in recorded("eager") if p["probe"] != "fill"]
    killed = {"probe": "fill", "error": "killed", "reason": "signal 9"}
    found = verdicts(run([*left, killed]), eager)
    assert found["pattern"].result == "fail"
    assert found["pattern"].detail == "no result: fill: killed: signal 9"


@pytest.mark.parametrize(
    "nonsense",
    [{"probe": "zoneinfo"}, {"probe": "fill", "node": []}, {"probe": "census", "node": "x"}],
)
def test_a_damaged_record_is_a_failure_and_no_crash(eager, nonsense):
    assert fails(run([*recorded("eager"), nonsense]), eager)


def test_without_the_eager_kernel_there_is_no_pass():
    mine = run(recorded("eager"))
    assert fails(mine, None) == {"totals", "used-memory", "lost-memory"}


def test_a_check_of_the_guest_is_taken_as_it_is(eager):
    probes = [
        {**p, "result": "fail", "detail": "why"} if p.get("check") == "thp" else p
        for p in recorded("eager")
    ]
    check = verdicts(run(probes), eager)["thp"]
    assert (check.result, check.detail) == ("fail", "why")


def test_every_variant_boots_twice_and_eager_beside_it():
    asked = gate.experiment(["grow"])
    assert asked.variants == ("eager", "eager.debug", "grow", "grow.debug")
    assert "fill" not in asked.probes_of("eager", gate.MACHINE, "time").run
    assert "fill" in asked.probes_of("grow.debug", gate.MACHINE, "time").run
    alone = gate.experiment(["eager"])
    assert alone.variants == ("eager", "eager.debug")
    assert "fill" in alone.probes_of("eager", gate.MACHINE, "time").run


def test_all_memory_has_to_fit_the_host():
    machine = Machine.load(ROOT / f"qemu-configs/{gate.MACHINE}.yaml")
    assert gate.PROBES.touched(machine.memory) == machine.memory
    assert gate.REFERENCE.touched(machine.memory) == 0


def test_the_debug_build_differs_in_fragments_and_poison_only():
    variant = Project(ROOT, ROOT).variant("grow")
    other = gate.debug(variant)
    assert other.fragments == (*variant.fragments, "debug")
    assert other.boot == (*variant.boot, "vm_debug=P", "page_poison=1")
    assert other.series == variant.series
    assert gate.split(other.name) == ("grow", "debug")


def test_broken_variants_are_taken_in_only_by_name():
    project = Project(ROOT, ROOT)
    assert set(project.variants("broken")) == {
        "broken-lost-block",
        "broken-uninit-head",
        "broken-zone-links",
    }
    assert not [name for name in project.variants() if name.startswith("broken")]
    assert {"eager", "deferred", "grow"} <= set(project.variants())


def test_the_dataset_and_the_report_have_the_gate(tmp_path, eager):
    asked = gate.experiment(["grow"])
    lock = Lockfile(
        experiment=asked,
        base="6.12",
        variants={n: Variant(name=n, description="d", prebuilt={"path": "x"}) for n in ("eager",)},
        machines={gate.MACHINE: Machine.load(ROOT / f"qemu-configs/{gate.MACHINE}.yaml")},
        kernels={},
        initramfs_sha256="0",
        environment=ENVIRONMENT,
    )
    evil = change(recorded("eager"), "check", result="fail", detail="<b>|\x1b[31m")
    boots = {"eager": eager.probes, "grow": evil}
    runs = [run(boots[n], n + s, image=n) for n in boots for s in ("", gate.SUFFIX)]
    found = dataset.tabulate([StoredRun(r, tmp_path / r.variant) for r in runs], lock)
    assert set(found.gate["variant"]) == {"grow"}
    assert len(found.gate) == 2 * len(gate.CHECKS)
    dataset.write(found, tmp_path)
    assert len(dataset.load_tables(tmp_path)["gate"]) == 2 * len(gate.CHECKS)
    page, text = render.render(Results(tmp_path), found)
    assert "grow: 38 checks, 2 FAILED" in text
    assert "<b>" not in page and "\x1b" not in page + text


def test_a_dataset_without_the_gate_has_no_file_of_it(tmp_path):
    cell = {"variants": ["eager"], "machines": ["m"], "clocks": {"time": {}}}
    plain = Experiment(name="x", description="d", baseline="eager", matrix=[cell])
    assert gate.checks([run([], "eager")], plain) == []
    found = dataset.tabulate([], None)
    dataset.write(found, tmp_path)
    assert not (tmp_path / "gate.csv").exists()
    assert dataset.load_tables(tmp_path)["gate"].empty


def test_the_record_is_what_the_probes_print():
    probes = recorded("eager")
    assert {p["probe"] for p in probes} >= {"hello", "fill", "oom", "check", "done"}
    assert json.loads((GOLDEN / "eager.jsonl").read_text().splitlines()[0])["probe"] == "hello"


def test_each_architecture_has_a_machine_of_its_own_that_is_like_the_other():
    found = {arch: gate.experiment(["grow"], "b", arch).machines for arch in gate.MACHINES}
    assert found == {arch: (name,) for arch, name in gate.MACHINES.items()}
    machines = [Machine.load(ROOT / f"qemu-configs/{name}.yaml") for (name,) in found.values()]
    assert [machine.arch for machine in machines] == list(gate.MACHINES)
    first, *others = [(machine.nodes, machine.distances) for machine in machines]
    assert all(other == first for other in others)


def walked(*results) -> list[dict]:
    names = ("kcore", "mapped-pages", "hwpoison-1g")
    return [
        {"probe": "check", "check": name, "result": result, "detail": "seen"}
        for name, result in zip(names, results, strict=True)
    ]


def test_every_variant_boots_in_every_scenario_and_nothing_beside_it():
    asked = gate.scenarios(["lazy", "eager"], "7.3")
    assert set(asked.variants) == {
        f"{name}.{build}@7.3" for name in ("lazy", "eager") for build in gate.SCENARIOS
    }
    assert {gate.split(name) for name in asked.variants} == {
        (f"{name}@7.3", build) for name in ("lazy", "eager") for build in gate.SCENARIOS
    }


def test_a_scenario_is_the_variant_with_more_behind_it():
    variant = Project(ROOT, ROOT).variant("lazy")
    for build, scenario in gate.SCENARIOS.items():
        made = gate.scenario(variant, build, "7.3")
        assert made.series == (*variant.series, gate.SCENARIO_SERIES)
        assert made.fragments == (*variant.fragments, gate.SCENARIO_FRAGMENT)
        assert made.boot == (*variant.boot, *scenario.boot)
        assert made.known_failures is None
    old = gate.scenario(variant, "cma", "6.12")
    assert gate.known_failures({"lazy.cma": old, "lazy": variant}) == {
        "lazy.cma": "kernel-patches/lazy/6.12/0000-cover-letter.patch"
    }


def test_each_scenario_has_checks_of_its_own():
    asked = gate.scenarios(["grow"])
    good = run(walked("pass", "pass", "pass"), "grow.huge-page")
    found = {c.check: c.result for c in gate.checks([good], asked) if c.build == "huge-page"}
    assert found == dict.fromkeys(("log", "kcore", "mapped-pages", "hwpoison-1g"), "pass")
    # Of the others there is no boot.
    lacking = [c for c in gate.checks([good], asked) if c.build != "huge-page"]
    assert [(c.build, c.check, c.result) for c in lacking] == [
        ("cma", "boots", "fail"),
        ("stale-memmap", "boots", "fail"),
    ]


@pytest.mark.parametrize("known", [False, True])
def test_what_is_known_to_fail_is_no_pass_and_says_where_it_is_written(known):
    asked = gate.scenarios(["grow"])
    bad = run(walked("pass", "fail", "fail"), "grow.huge-page")
    said = {"grow.huge-page": "letter"} if known else {}
    found = [c for c in gate.checks([bad], asked, {}, said) if c.build == "huge-page"]
    result = "known" if known else "fail"
    assert [c.result for c in found] == ["pass", "pass", result, result]
    assert all(("letter" in c.detail) == known for c in found if c.result == result)
    count = "2 known to fail" if known else "2 FAILED"
    assert gate.in_short([c.result for c in found]) == count


def test_a_kernel_that_does_not_build_is_not_known_to_fail():
    asked = gate.scenarios(["grow"])
    bad = run([], "grow.huge-page", outcome=Outcome.BUILD_FAILED, reason="no such file")
    found = gate.checks([bad], asked, {}, {"grow.huge-page": "letter"})
    assert {c.result for c in found} == {"fail"}
