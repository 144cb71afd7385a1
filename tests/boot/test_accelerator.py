# SPDX-License-Identifier: GPL-2.0-only
"""The accelerator is what really boots a kernel here, whatever that is."""

import json
from pathlib import Path

import pytest

from harness.boot import accel as accelerator
from harness.cli import main
from harness.errors import HostError
from harness.guest import initramfs

NOWHERE = Path("/nonexistent")


@pytest.fixture
def probed(tmp_path, cache, kernel):
    """A cache with the answer of a real probe, and the answer."""
    initrd = initramfs.build(cache).path
    return tmp_path, accelerator.probe(kernel.image, initrd, tmp_path)


def test_a_probe_is_kept_and_boots_nothing_the_second_time(probed):
    folder, verdict = probed
    (path,) = (folder / "accelerator").iterdir()
    assert json.loads(path.read_text()) == vars(verdict)
    assert verdict.detail
    # A boot of these files would fail; what is known needs no boot.
    assert accelerator.probe(NOWHERE, NOWHERE, folder) == verdict
    assert accelerator.known(folder) == verdict


def test_auto_takes_what_works_and_kvm_is_refused_where_it_does_not(probed):
    folder, verdict = probed
    works = "kvm" if verdict.kvm else "tcg"
    assert accelerator.choose("auto", NOWHERE, NOWHERE, folder)[0] == works
    assert accelerator.choose("tcg", NOWHERE, NOWHERE, folder / "none") == ("tcg", None)
    if verdict.kvm:
        assert accelerator.choose("kvm", NOWHERE, NOWHERE, folder)[0] == "kvm"
    else:
        with pytest.raises(HostError, match="KVM does not boot"):
            accelerator.choose("kvm", NOWHERE, NOWHERE, folder)


def test_a_machine_that_leaves_the_choice_boots_with_what_works(place, cache, capfd):
    machine = place / "qemu-configs/small.yaml"
    machine.write_text(machine.read_text().replace("accel: tcg", "accel: auto"))
    assert main(["boot", "debian", "small", "--json"]) == 0
    record = json.loads(capfd.readouterr().out)
    accel = "kvm" if accelerator.known(cache).kvm else "tcg"
    assert record["environment"]["accel"] == accel
    assert any(word.startswith(accel) for word in record["argv"])
