# SPDX-License-Identifier: GPL-2.0-only
"""The command line from end to end, with a QEMU that plays a part."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import harness
from harness.cli import main
from harness.project import Project
from harness.results.folder import Results
from tests.support.checkout import heed_ctrl_c, results, rows
from tests.support.profiles import EAGER, SPANS, with_symbols, written
from tests.support.store import foreign


def test_run_leaves_a_dataset_and_a_second_run_does_nothing(checkout, capfd):
    assert main(["run", "experiments/pair.yaml"]) == 0
    folder = results(checkout)
    boots = rows(folder, "runs")
    assert [r["outcome"] for r in boots] == ["ok"] * 6
    assert {(r["variant"], r["block"], r["warmup"]) for r in boots} == {
        (v, b, w)
        for v in ("one", "two")
        for b, w in (("-1", "true"), ("0", "false"), ("1", "false"))
    }
    assert "report.html" in capfd.readouterr().out
    written = {p: p.stat().st_mtime_ns for p in folder.glob("runs/*/*/*/*/run.json")}
    assert main(["run", "experiments/pair.yaml"]) == 0
    assert written == {p: p.stat().st_mtime_ns for p in folder.glob("runs/*/*/*/*/run.json")}
    assert results(checkout) == folder
    assert "[1/" not in capfd.readouterr().err


def test_an_experiment_runs_from_python(checkout):
    project = Project.find(checkout, checkout.parent / "cache")
    experiment = project.experiment(Path("pair"))
    found = harness.run_experiment(project, experiment, checkout / "results")
    assert found.runs["outcome"].tolist() == ["ok"] * 6
    assert not found.damage
    assert harness.load(results(checkout)).runs["run_id"].tolist() == found.runs["run_id"].tolist()
    foreign(results(checkout) / "runs/one/small/time/000/run.json")
    again = harness.run_experiment(project, experiment, checkout / "results")
    assert len(again.runs) == 5
    assert [item.reason for item in again.damage] == ["schema version 999; this harness reads 1"]


def test_a_second_arm_is_the_baseline_once_more(checkout, capfd):
    text = (checkout / "experiments/pair.yaml").read_text()
    text = text.replace("blocks: 2, warmup: 1", "blocks: 6, aa: true")
    (checkout / "experiments/pair.yaml").write_text(text)
    assert main(["plan", "experiments/pair.yaml", "--json"]) == 0
    plan = json.loads(capfd.readouterr().out)
    assert sorted(cell["variant"] for cell in plan["cells"]) == ["one", "one@2", "two"]
    assert main(["run", "experiments/pair.yaml"]) == 0
    folder = results(checkout)
    boots = rows(folder, "runs")
    assert len(boots) == 18
    images = {r["variant"]: r["image_sha256"] for r in boots}
    assert images["one@2"] == images["one"] != images["two"]
    capfd.readouterr()
    assert main(["compare", str(folder), "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert {r["variant"] for r in found["rows"] if r["kind"] == "A/A"} == {"one@2"}
    assert {r["variant"] for r in found["rows"] if r["kind"] == "time"} == {"two"}


def test_until_boots_up_to_the_first_look_at_which_all_is_narrow(checkout, capfd):
    text = (checkout / "experiments/pair.yaml").read_text()
    (checkout / "experiments/pair.yaml").write_text(text.replace("blocks: 2", "blocks: 1"))
    argv = ["run", "experiments/pair.yaml", "--json", "--metric", "host_rss_peak_bytes"]
    assert main([*argv, "--until", "99%"]) == 0
    (look,) = json.loads(capfd.readouterr().out)["looks"]
    assert look.startswith("look at 6 blocks, host_rss_peak_bytes: widest is ±")
    assert look.endswith("wanted ±99.0%: reached")
    assert len(rows(results(checkout), "runs")) == 2 * (1 + 6)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--until", "2"], "write 2%"),
        (["--until", "2%", "--metric", "boat"], "no metric called 'boat'"),
    ],
)
def test_until_refuses_before_the_first_boot(checkout, capfd, words, said):
    assert main(["run", "experiments/pair.yaml", *words]) == 2
    assert said in capfd.readouterr().err and not (checkout / "results").exists()


@pytest.mark.parametrize(
    ("part", "outcome"),
    [
        ("panic", "panic"),
        ("silent", "no-output"),
        ("refuse", "start-refused"),
        ("killed", "killed"),
    ],
)
def test_a_failed_boot_is_a_row(checkout, monkeypatch, part, outcome):
    monkeypatch.setenv("FAKE_QEMU", part)
    text = (checkout / "experiments/pair.yaml").read_text()
    text = text.replace("blocks: 2, warmup: 1", "blocks: 1")
    (checkout / "experiments/pair.yaml").write_text(text)
    assert main(["run", "experiments/pair.yaml"]) == 1
    folder = results(checkout)
    assert [r["outcome"] for r in rows(folder, "runs")] == [outcome] * 2
    summary = [r for r in rows(folder, "summary") if r["kind"] == "boots"]
    assert [(r["variant"], r["failed"], r["n"]) for r in summary] == [
        ("one", "1", "0"),
        ("two", "1", "0"),
    ]
    assert main(["status", str(folder)]) == 1
    monkeypatch.setenv("FAKE_QEMU", "ok")
    assert main(["run", "experiments/pair.yaml", "--retry"]) == 0
    assert [r["attempt"] for r in rows(folder, "runs")] == ["2", "2"]


@pytest.mark.parametrize(("times", "attempt"), [(2, 3), (9, 4)])
def test_a_boot_that_the_emulator_spoils_is_tried_again(
    checkout, monkeypatch, tmp_path, times, attempt
):
    spoilt = Path(__file__).parents[2] / "golden/console/tcg-stale-int3.log"
    for name, value in (("QEMU", "spoilt"), ("SPOILT", spoilt), ("TIMES", times)):
        monkeypatch.setenv(f"FAKE_{name}", str(value))
    monkeypatch.setenv("FAKE_COUNT", str(tmp_path / "count"))
    text = (checkout / "experiments/pair.yaml").read_text()
    text = text.replace("[one, two]", "[one]").replace("blocks: 2, warmup: 1", "blocks: 1")
    (checkout / "experiments/pair.yaml").write_text(text)
    assert main(["run", "experiments/pair.yaml"]) == (times > 4)
    boots = rows(results(checkout), "runs")
    assert [r["attempt"] for r in boots] == [str(attempt)]
    kept = sorted(p.parent.name for p in results(checkout).glob("runs/*/*/*/*.attempt*/run.json"))
    assert kept == [f"000.attempt{n}" for n in range(1, attempt)]
    assert "more than one attempt" in (results(checkout) / "report.md").read_text()


def test_a_killed_harness_loses_no_finished_run_and_resumes(checkout, monkeypatch):
    argv = [sys.executable, "-m", "harness", "run", "experiments/pair.yaml"]
    root = Path(__file__).parents[3]
    env = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(argv, env=env, stderr=subprocess.DEVNULL) as harness:
        end = time.monotonic() + 60
        while len(list(checkout.glob("results/pair/*/runs/*/*/*/*/run.json"))) < 2:
            assert time.monotonic() < end
            time.sleep(0.01)
        harness.send_signal(signal.SIGKILL)
    folder = results(checkout)
    kept = {p: p.read_bytes() for p in folder.glob("runs/*/*/*/*/run.json")}
    assert 2 <= len(kept) < 6
    assert main(["run", "experiments/pair.yaml"]) == 0
    assert len(rows(folder, "runs")) == 6
    assert all(path.read_bytes() == data for path, data in kept.items())


def test_two_starts_in_one_folder_are_refused(ran, capsys):
    code = (
        "import sys, time; from pathlib import Path; from harness.results import Results\n"
        "with Results(Path(sys.argv[1])).locked():\n    print('held', flush=True); time.sleep(60)\n"
    )
    argv = [sys.executable, "-c", code, str(ran)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        assert main(["run", "experiments/pair.yaml"]) == 2
        holder.kill()
    assert "another harness writes here" in capsys.readouterr().err


def test_ctrl_c_is_130_and_leaves_no_qemu(checkout, monkeypatch):
    monkeypatch.setenv("FAKE_QEMU", "hang")
    text = (checkout / "experiments/pair.yaml").read_text()
    text = text.replace("silence_s: 1, progress_s: 1.5", "silence_s: 99, progress_s: 99")
    (checkout / "experiments/pair.yaml").write_text(text)
    argv = [sys.executable, "-m", "harness", "run", "experiments/pair.yaml"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    with subprocess.Popen(argv, env=env, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c) as harness:
        end = time.monotonic() + 60
        while not list(checkout.glob("results/pair/*/runs/*/*/*/*.part/console.log")):
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.3)
        harness.send_signal(signal.SIGINT)
        said = harness.communicate()[1].decode()
    assert harness.returncode == 130
    assert "interrupted" in said and "Traceback" not in said
    assert Results(results(checkout)).read() == ([], [])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["boot", "oen", "small"], "did you mean 'one'?"),
        (["boot", "one", "smal"], "did you mean 'small'?"),
        (["run", "experiments/none.yaml"], "no such file"),
        (["parse", "/nowhere/x.log"], "cannot be read: No such file"),
        (["collate", "/nowhere"], "no results here"),
    ],
)
def test_bad_input_is_one_clear_error(checkout, capsys, argv, said):
    assert main(argv) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) < 20


@pytest.fixture
def profiled(checkout: Path, monkeypatch) -> Path:
    """An experiment by the work clock of kernels that nobody marked, `one` with a System.map."""
    text = (checkout / "experiments/pair.yaml").read_text()
    text = text.replace("time: {blocks: 2, warmup: 1}", "work: {}")
    (checkout / "experiments/pair.yaml").write_text(text)
    with_symbols(checkout)
    monkeypatch.setenv("FAKE_PROFILE", written(EAGER))
    return checkout


def test_a_kernel_without_marks_is_told_by_its_functions(profiled, capfd):
    assert main(["run", "pair", "--instrument", "profile"]) == 0
    said = capfd.readouterr()
    assert "one: no symbol of phase smp_init, which is left out: smp_init" in said.err
    assert "phase page_alloc_init_late, which is left out: page_alloc_init_late" in said.err
    told = [r for r in rows(results(profiled), "phases") if r["source"] == "profile"]
    assert {
        (r["variant"], r["phase"], r["start_instructions"], r["instructions"], r["calls"])
        for r in told
        if r["variant"] == "one"
    } == {
        ("one", "setup_arch", "3", "720", "1"),
        ("one", "memmap_init", "15", "705", "4"),
        ("one", "memblock_free_all", "730", "300", "1"),
    }
    assert {r["source"] for r in rows(results(profiled), "summary") if r["kind"] == "phase"} >= {
        "profile"
    }
    assert "memmap_init (profile)" in (results(profiled) / "report.md").read_text()


def test_a_profile_that_is_not_whole_is_no_good_boot(profiled, monkeypatch, capfd):
    monkeypatch.setenv("FAKE_PROFILE", written(EAGER)[:-4])
    assert main(["run", "pair", "--instrument", "profile"]) == 1
    assert {(r["outcome"], r["reason"]) for r in rows(results(profiled), "runs")} == {
        ("incomplete", "profile.txt: no profile, or not all of it")
    }
    monkeypatch.setenv("FAKE_PROFILE", written(EAGER, spans={}))
    assert main(["run", "pair", "--instrument", "profile", "--retry"]) == 1
    assert "start_kernel never ran, or has no symbol" in capfd.readouterr().err


def test_a_kernel_whose_functions_have_no_names_is_refused(profiled, capfd):
    (profiled / "System.map").write_text("ffffffffffffffff B see another package\n")
    assert main(["run", "pair", "--instrument", "profile"]) == 2
    assert "System.map: names no functions of a kernel" in capfd.readouterr().err
    path = profiled / "kernel-patches/variants/two.yaml"
    path.write_text("description: d\nprebuilt: {path: two.img}\n")
    (profiled / "System.map").write_text("")
    for name in ("one", "two"):
        text = "description: d\nprebuilt: {path: two.img}\n"
        (profiled / f"kernel-patches/variants/{name}.yaml").write_text(text)
    assert main(["run", "pair", "--instrument", "both"]) == 2
    assert "two.img" in capfd.readouterr().err


def test_a_qemu_that_takes_no_plugin_starts_nothing(profiled, monkeypatch, capfd):
    monkeypatch.setenv("FAKE_QEMU", "no-plugins")
    assert main(["run", "pair", "--instrument", "profile"]) == 1
    (found,) = {(r["outcome"], r["reason"]) for r in rows(results(profiled), "runs")}
    assert found[0] == "start-refused" and "built without plugins" in found[1]


def test_a_plugin_that_qemu_refuses_is_a_refused_start_in_its_words(profiled, monkeypatch, capfd):
    monkeypatch.setenv("FAKE_QEMU", "new")
    assert main(["run", "pair", "--instrument", "profile"]) == 1
    assert all(
        r["outcome"] == "start-refused" and "plugin requires API version 1" in r["reason"]
        for r in rows(results(profiled), "runs")
    )
    words = ["profile", "--kernel", "one.img", "--system-map", "System.map", "small"]
    assert main(words) == 2
    assert "plugin requires API version 1" in capfd.readouterr().err


def test_a_boot_that_died_has_the_phases_that_came_to_their_end(profiled, monkeypatch):
    monkeypatch.setenv("FAKE_QEMU", "panic")
    spans = SPANS | {"memblock_free_all": (1, 0, 1630, 0, 0)}
    monkeypatch.setenv("FAKE_PROFILE", written(EAGER, "early", spans=spans))
    assert main(["run", "pair", "--instrument", "profile"]) == 1
    folder = results(profiled)
    assert {r["outcome"] for r in rows(folder, "runs")} == {"panic"}
    told = {r["phase"] for r in rows(folder, "phases") if r["source"] == "profile"}
    assert told == {"setup_arch", "memmap_init"}
    assert not [r for r in rows(folder, "summary") if r["source"] == "profile"]


def test_an_image_of_another_architecture_is_called_what_it_is(profiled, capfd):
    (profiled / "two.img").write_bytes(bytes(0x38) + b"ARM\x64" + bytes(0x400))
    assert main(["run", "pair", "--instrument", "profile"]) == 2
    assert main(["profile", "--kernel", "two.img", "small"]) == 2
    said = capfd.readouterr().err
    assert said.count("is a kernel of arm64, small is x86_64") == 2
    assert said.count("name a machine with `arch: arm64`") == 2
    (profiled / "two.img").write_bytes(bytes(0x30) + b"RISCV\0\0\0" + bytes(0x400))
    assert main(["run", "pair", "--instrument", "profile"]) == 2
    assert "an Image of riscv" in capfd.readouterr().err


def test_only_the_work_clock_has_an_instrument(checkout, capfd):
    assert main(["run", "pair", "--instrument", "profile"]) == 2
    assert "--instrument profile: functions are counted on the work" in capfd.readouterr().err
