# SPDX-License-Identifier: GPL-2.0-only
"""An experiment whose guest is an image, made ready."""

import hashlib
import json
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.kernel.store import Kernels
from harness.model.variant import Variant
from harness.project import Project
from harness.run import loop
from harness.run.session import fit, prepare
from tests.support.records import an_experiment

ARM = """
description: d
arch: arm64
machine: virt
nodes: [{cpus: 0, memory: 1GiB}]
"""


@pytest.fixture
def session(checkout, tmp_path):
    """A session of the experiment `pair`, whose guest is an image."""
    (checkout / "disk.img").write_bytes(b"disk")
    path = checkout / "experiments/pair.yaml"
    path.write_text(path.read_text() + "guest: {image: disk.img}\n")
    project = Project(checkout, tmp_path / "cache")
    return lambda: prepare(project, project.experiment(Path("pair")))


def test_the_lock_names_the_bytes_of_the_image(session, checkout):
    first = session()
    assert first.lock.image_sha256 == first.guest.image.sha256
    assert session().lock.hash == first.lock.hash
    (checkout / "disk.img").write_bytes(b"another disk")
    assert session().lock.hash != first.lock.hash


def test_an_experiment_without_a_guest_is_called_what_it_was(session):
    lock = session().lock
    plain = lock.experiment.model_copy(update={"guest": None})
    later = ("image_sha256", "program_sha256", "idle_sha256", "profile_sha256", "words")
    bare = lock.model_copy(update={"experiment": plain, **dict.fromkeys(later)})
    # As before there were such keys: the hash over everything else.
    data = bare.model_dump(mode="json")
    for key in ("load_1min", "harness_version", "tsc_khz", "host_kernel", "slowdown"):
        del data["environment"][key]
    for entry in (data["experiment"], *data["variants"].values(), *data["machines"].values()):
        for key in ("description", "origin", "claims", "host_labels"):
            entry.pop(key, None)
    for key in (*later, "gate"):
        del data[key]
    del data["experiment"]["guest"]
    for entry in (data, data["experiment"], *data["experiment"]["matrix"]):
        del entry["bases"]
        entry.pop("instrument", None)
    for variant in data["variants"].values():
        del variant["prebuilt"]["system_map"]
    text = json.dumps(data, sort_keys=True)
    assert bare.hash == hashlib.sha256(text.encode()).hexdigest()[:12] != lock.hash


def test_the_lock_names_what_the_harness_gives_to_the_kernels(session):
    """Another word is another command line, and so another experiment."""
    lock = session().lock
    assert {clock for words in lock.words.values() for clock in words} == {"time"}
    assert all("console=ttyS0" in words["time"] for words in lock.words.values())
    assert not any("tsc_early_khz" in words["time"] for words in lock.words.values())
    more = {name: {"time": f"{words['time']} more"} for name, words in lock.words.items()}
    assert lock.model_copy(update={"words": more}).hash != lock.hash


def test_machines_and_kernels_are_of_one_architecture(checkout, tmp_path):
    patches, machines = checkout / "kernel-patches", checkout / "qemu-configs"
    name = next(machines.glob("*.yaml")).stem
    (machines / "virt.yaml").write_text(ARM)
    project = Project(checkout, tmp_path / "cache")
    path = checkout / "experiments/pair.yaml"
    text = path.read_text()
    path.write_text(text.replace(f"[{name}]", "[virt]"))
    with pytest.raises(UserError, match="one is a kernel of x86_64, virt is arm64"):
        prepare(project, project.experiment(Path("pair")))
    for variant in ("one", "two"):
        text_of = "description: d\nfragments: [base]\n"
        (patches / f"variants/{variant}.yaml").write_text(text_of)
    (patches / "configs").mkdir()
    (patches / "configs/base.config").touch()
    with pytest.raises(UserError, match="makes kernels of x86_64, virt is arm64") as caught:
        prepare(project, project.experiment(Path("pair")))
    assert caught.value.remedy.endswith(": none")
    base = next((patches / "bases").glob("*.yaml"))
    text_of = base.read_text().replace("default: true\n", "")
    base.write_text(text_of + "default: true\n")
    (patches / "bases/arm.yaml").write_text(text_of + "toolchain: {arch: arm64}\n")
    with pytest.raises(UserError, match="virt is arm64") as caught:
        prepare(project, project.experiment(Path("pair"), base.stem))
    assert caught.value.remedy.endswith(": arm")
    path.write_text(text.replace(f"[{name}]", f"[{name}, virt]"))
    with pytest.raises(UserError, match=f"{name} is x86_64, virt arm64"):
        prepare(project, project.experiment(Path("pair")))


def test_an_image_stays_on_the_host_that_has_it(session, tmp_path):
    class Elsewhere:
        async def execute(self, job):
            raise AssertionError("nothing may be booted")

    found = session()
    options = loop.RunOptions(tmp_path / "results")
    results = loop.open_results(found, options)
    with pytest.raises(UserError, match="its image is not sent to other hosts"):
        loop.run(found, results, options, lambda event: None, Elsewhere())


def test_every_variant_is_built_with_what_the_guest_needs(checkout):
    store = Kernels(Project(checkout, checkout))
    built = Variant(name="a", description="a", fragments=("base",))
    wanted = an_experiment(guest={"image": "x", "fragments": ["base", "distro"]})
    (checkout / "kernel-patches/configs").mkdir()
    (checkout / "kernel-patches/configs/base.config").touch()
    with pytest.raises(UserError, match=r"no fragment distro for base 6\.12"):
        fit(store, wanted, built)
    (checkout / "kernel-patches/configs/distro.config").touch()
    assert fit(store, wanted, built).fragments == ("base", "distro")
    assert fit(store, an_experiment(), built) == built
    prebuilt = Variant(name="b", description="b", prebuilt={"path": "x"})
    assert fit(store, wanted, prebuilt) == prebuilt
