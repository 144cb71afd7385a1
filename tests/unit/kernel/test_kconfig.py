# SPDX-License-Identifier: GPL-2.0-only
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.kernel import kconfig
from harness.model import Machine

NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,9}", fullmatch=True)
VALUES = st.one_of(st.sampled_from(["y", "m", "n"]), st.integers(-9, 9999).map(str))


@given(st.dictionaries(NAMES, VALUES))
def test_render_and_parse_are_inverse(values):
    options = {n: kconfig.Option(n, v, "x") for n, v in values.items()}
    assert {n: o.value for n, o in kconfig.parse(kconfig.render(options), "x").items()} == values


def test_conflict_names_both_places():
    a = kconfig.parse("CONFIG_NUMA=y\n", "a.config")
    b = kconfig.parse("\n# CONFIG_NUMA is not set\n", "b.config")
    with pytest.raises(ConfigError, match=r"a\.config:1: CONFIG_NUMA=y, but b\.config:2"):
        kconfig.merge([a, b])


def test_a_line_that_is_no_option_is_refused():
    with pytest.raises(ConfigError, match=r"f\.config:2: not an option: 'NUMA=y'"):
        kconfig.parse("# fine\nNUMA=y\n", "f.config")


@pytest.mark.parametrize(
    ("asked", "got", "lost"),
    [
        ("CONFIG_A=n\n", "", []),
        ("CONFIG_A=n\n", "CONFIG_A=y\n", [("A", "y")]),
        ("CONFIG_A=y\n", "# CONFIG_A is not set\n", [("A", "n")]),
        ("CONFIG_A=0x10\n", "CONFIG_A=16\n", []),
        ("CONFIG_A=8\n", "CONFIG_A=7\n", [("A", "7")]),
    ],
)
def test_missing_compares_values_of_every_kind(asked, got, lost):
    found = kconfig.missing(kconfig.parse(asked, "f"), kconfig.parse(got, "c"))
    assert [(m.asked.name, m.got) for m in found] == lost


def test_explain_names_the_dependency_that_is_off():
    text = 'config DEFER\n\tbool "Defer"\n\tdepends on SPARSEMEM && NUMA\n\thelp\n\t  Text.\n'
    lost = kconfig.Missing(kconfig.Option("DEFER", "y", "f:1"), "n")
    got = kconfig.parse("CONFIG_NUMA=y\n", "c")
    reason = kconfig.explain(lost, kconfig.definitions(text, "DEFER"), got)
    assert "SPARSEMEM is off" in reason
    assert "no Kconfig file" in kconfig.explain(lost, [], got)


WHOLE = """\
#
# Automatically generated file; DO NOT EDIT.
#
CONFIG_CC_VERSION_TEXT="gcc (Debian) 12"
CONFIG_NUMA=y
CONFIG_NR_CPUS=128
CONFIG_NODES_SHIFT=2
CONFIG_PCI=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_BLK=y
CONFIG_EXT4_FS=y
# CONFIG_XFS_FS is not set
# CONFIG_VIRTIO_BLK=m is what a comment says
"""


def machine(cpus: int, nodes: int = 1) -> Machine:
    each = [{"cpus": f"0-{cpus - 1}", "memory": "1GiB"}, *[{"memory": "1GiB"}] * (nodes - 1)]
    return Machine.parse({"name": "m", "description": "d", "nodes": each}, "m")


@pytest.mark.parametrize(
    ("old", "new", "cpus", "nodes", "says"),
    [
        ("", "", 128, 4, None),
        ("", "", 129, 1, "CONFIG_NR_CPUS=128, the machine has 129 CPUs"),
        ("", "", 1, 5, "built for 4 nodes, the machine has 5"),
        ("CONFIG_NUMA=y", "# CONFIG_NUMA is not set", 1, 2, "built for 1 nodes"),
        ("VIRTIO_BLK=y", "VIRTIO_BLK=m", 1, 1, "CONFIG_VIRTIO_BLK=m is a module"),
        ("CONFIG_VIRTIO_PCI=y", "# CONFIG_VIRTIO_PCI is not set", 1, 1, "CONFIG_VIRTIO_PCI is off"),
        ("EXT4_FS=y", "EXT4_FS=m", 1, 1, "no file system built in .*CONFIG_EXT4_FS=m is a module"),
    ],
)
def test_a_configuration_says_what_it_cannot_run(old, new, cpus, nodes, says):
    known = kconfig.values(WHOLE.replace(old, new, 1) if old else WHOLE)
    found = kconfig.obstacle(known, machine(cpus, nodes), disk=True)
    assert found is None if says is None else re.search(says, found or "")


def test_of_a_kernel_without_a_configuration_nothing_is_said():
    assert kconfig.obstacle({}, machine(4000), disk=True) is None
    modules = kconfig.values(WHOLE.replace("VIRTIO_BLK=y", "VIRTIO_BLK=m"))
    assert kconfig.obstacle(modules, machine(1)) is None


@pytest.mark.parametrize(
    ("text", "hz"),
    [
        ("CONFIG_HZ_250=y\n# CONFIG_HZ_1000 is not set\nCONFIG_HZ=250\n", 250),
        ("CONFIG_HZ_1000=y\n", 1000),
        ("CONFIG_NO_HZ_IDLE=y\nCONFIG_HZ_PERIODIC=n\n", None),
        ("CONFIG_HZ=0\n", None),
        ("CONFIG_HZ=many\n", None),
        ("", None),
    ],
)
def test_ticks_a_second(tmp_path, text, hz):
    (tmp_path / "config").write_text(text)
    assert kconfig.hz(kconfig.read(tmp_path / "config")) == hz
    assert kconfig.read(None) == kconfig.read(tmp_path / "no such file") == {}


def test_a_variant_overrides_what_a_fragment_asks_for():
    asked = kconfig.parse("CONFIG_NUMA=y\nCONFIG_HZ=250\n", "a.config")
    got = kconfig.overridden(asked, {"CONFIG_NUMA": "n"}, "mine")
    assert {name: option.value for name, option in got.items()} == {"NUMA": "n", "HZ": "250"}
    assert got["NUMA"].where == "mine" and asked["NUMA"].value == "y"


@pytest.mark.parametrize(
    ("options", "why"),
    [({"CONFIG_NUMA": "y"}, "a.config:1 says so"), ({"CONFIG_SMP": "n"}, "no fragment sets it")],
)
def test_what_overrides_nothing_is_a_mistake(options, why):
    asked = kconfig.parse("CONFIG_NUMA=y\n", "a.config")
    with pytest.raises(ConfigError, match=why):
        kconfig.overridden(asked, options, "mine")
