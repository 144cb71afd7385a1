# SPDX-License-Identifier: GPL-2.0-only
"""What a run would do."""

import json

from harness import host
from harness.cli import main


def test_plan_touches_nothing(checkout, capfd):
    before = sorted(checkout.rglob("*"))
    assert main(["plan", "experiments/pair.yaml", "--json"]) == 0
    plan = json.loads(capfd.readouterr().out)
    assert [c["variant"] for c in plan["cells"]] == ["one", "two"]
    assert plan["cost"]["boots"] == 6
    assert plan["cells"][0]["argv"][0] == "qemu-system-x86_64"
    assert sorted(checkout.rglob("*")) == before


def test_what_kernel_or_board_cannot_have_does_not_fit(checkout, capfd):
    config = "CONFIG_NR_CPUS=128\nCONFIG_NUMA=y\n"
    (checkout / "config").write_text(config)
    machine = "description: d\nnodes: [{{cpus: 0-{}, memory: 1GiB}}]\n"
    for last in (127, 199, 299):
        (checkout / f"qemu-configs/cpus{last}.yaml").write_text(machine.format(last))
    pair = (checkout / "experiments/pair.yaml").read_text()
    (checkout / "experiments/pair.yaml").write_text(
        pair.replace("[small]", "[cpus127, cpus199, cpus299]")
    )
    assert main(["plan", "pair", "--json"]) == 0
    cells = json.loads(capfd.readouterr().out)["cells"]
    said = {cell["machine"]: (cell["fits"], cell["obstacle"] or "") for cell in cells}
    assert said["cpus127"] == (True, "")
    assert not said["cpus199"][0] and "CONFIG_NR_CPUS=128" in said["cpus199"][1]
    assert not said["cpus299"][0] and "pc stops at 255 CPUs" in said["cpus299"][1]
    assert main(["plan", "pair"]) == 0
    shown = capfd.readouterr().out
    assert shown.count("NO") == 4 and "one on cpus199: the kernel is built for" in shown


def test_a_qemu_is_asked_once_what_it_is(checkout, capfd, monkeypatch):
    asked = []
    find = host.find_qemu
    monkeypatch.setattr(host, "find_qemu", lambda arch: asked.append(arch) or find(arch))
    assert main(["plan", "experiments/pair.yaml", "--json"]) == 0
    assert len(json.loads(capfd.readouterr().out)["cells"]) == 2
    assert len(asked) == 1


def test_a_machine_for_kvm_has_the_address_bits_of_the_host(checkout, capfd, monkeypatch):
    monkeypatch.setattr(host, "address_bits", lambda: 39)
    small = checkout / "qemu-configs/small.yaml"
    for accel, fits in (("kvm", False), ("tcg", True)):
        small.write_text(f"description: d\naccel: {accel}\nnodes: [{{cpus: 0, memory: 640GiB}}]\n")
        assert main(["plan", "pair", "--json"]) == 0
        for cell in json.loads(capfd.readouterr().out)["cells"]:
            assert (cell["obstacle"] is None) == fits
