# SPDX-License-Identifier: GPL-2.0-only
"""The inventory: what is refused and how it is said, and which hosts fit."""

import pytest
import yaml

from harness.errors import UserError
from harness.hosts.inventory import Host, Inventory, Need, choose
from harness.units import GIB

ENTRY = {"address": "10.0.0.1", "user": "lab", "memory": "64GiB", "cores": 8}


def load(tmp_path, **hosts):
    path = tmp_path / "hosts.yaml"
    path.write_text(yaml.safe_dump({"hosts": {n: ENTRY | keys for n, keys in hosts.items()}}))
    return Inventory.load(path)


def refusal(tmp_path, **hosts):
    with pytest.raises(UserError) as error:
        load(tmp_path, **hosts)
    assert error.value.where == str(tmp_path / "hosts.yaml")
    return error.value.what


def test_a_host_has_sensible_defaults(tmp_path):
    host = load(tmp_path, one={}).hosts["one"]
    assert (host.port, host.accel, host.memory, host.jump) == (22, "tcg", 64 * GIB, None)


@pytest.mark.parametrize("key", ["password", "Password", "passphrase", "token"])
def test_secrets_are_refused_with_the_reason_and_not_repeated(tmp_path, key):
    said = refusal(tmp_path, one={key: "hunter2"})
    assert said.startswith(f"hosts.one: {key}: no secret is taken from a file")
    assert "ssh-agent" in said and "hunter2" not in said


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"adress": "x"}, "hosts.one.adress: unknown key"),
        ({"address": "-oProxyCommand=x"}, "hosts.one.address: "),
        ({"address": "a b"}, "hosts.one.address: "),
        ({"user": "root; reboot"}, "hosts.one.user: "),
        ({"user": "-l"}, "hosts.one.user: "),
        ({"port": 0}, "hosts.one.port: "),
        ({"cores": 0}, "hosts.one.cores: "),
        ({"memory": "64GB"}, "hosts.one.memory: not a size"),
        ({"jump": "gate"}, "hosts.one.jump: there is no host 'gate' in this file"),
        ({"jump": "one"}, "hosts.one.jump: goes round in a circle"),
        ({"labels": ["a b"]}, "hosts.one.labels[0]: "),
    ],
)
def test_what_is_wrong_is_named_with_its_path(tmp_path, keys, said):
    assert said in refusal(tmp_path, one=keys)


def test_a_name_is_a_word(tmp_path):
    assert "hosts.../../etc" in refusal(tmp_path, **{"../../etc": {}})


def test_a_long_way_and_a_circle(tmp_path):
    inventory = load(tmp_path, a={}, b={"jump": "a"}, c={"jump": "b"})
    assert [hop.name for hop in inventory.endpoint("c").route] == ["a", "b", "c"]
    assert "circle" in refusal(tmp_path, a={"jump": "b"}, b={"jump": "a"})


def hosts(**keys):
    return {name: Host.parse(ENTRY | more, name) for name, more in keys.items()}


LAB = hosts(
    small={"memory": "8GiB", "labels": ["amd"]},
    large={"memory": "2TiB", "labels": ["amd", "quiet"]},
    fast={"memory": "256GiB", "accel": "kvm", "labels": ["quiet"]},
)


@pytest.mark.parametrize(
    ("need", "names"),
    [
        (Need(GIB), ("small", "large", "fast")),
        (Need(8 * GIB), ("small", "large", "fast")),
        (Need(8 * GIB + 1), ("large", "fast")),
        (Need(GIB, "tcg"), ("small", "large", "fast")),
        (Need(GIB, "kvm"), ("fast",)),
        (Need(GIB, labels=("quiet",)), ("large", "fast")),
        (Need(GIB, labels=("quiet", "amd")), ("large",)),
    ],
)
def test_hosts_are_chosen_by_label_memory_and_accelerator(need, names):
    assert choose(LAB, need) == names


def test_where_none_fits_each_says_why():
    with pytest.raises(UserError) as error:
        choose(LAB, Need(1024 * GIB, "kvm", ("quiet",)))
    assert error.value.what.splitlines()[1:] == [
        "  small has no label quiet",
        "  large has no KVM",
        "  fast lends 256GiB, 1TiB are needed",
    ]
