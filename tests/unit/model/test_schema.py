# SPDX-License-Identifier: GPL-2.0-only
"""Files of models by their names."""

from pathlib import Path

import pytest

from harness.errors import UserError
from harness.model import Base, Distribution, Experiment, Variant
from harness.model.machine import Machine
from harness.model.schema import load_named


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "quad-16g.yaml").touch()
    with pytest.raises(UserError, match="did you mean 'quad-16g'"):
        load_named(Machine, tmp_path, "qaud-16g")
    with pytest.raises(UserError, match="there are: quad-16g"):
        load_named(Machine, tmp_path, "../quad-16g")


NAMES = ("A B$(x);<b>", "x ", " x", "x\n", "a/b", "../x", ".x", "-x", "x@2", "ü", "", "x" * 101)
"""What a file may be called, and no part of the matrix."""
NODES = [{"cpus": 0, "memory": "1GiB"}]
CLOCKS = {"time": {"blocks": 1}}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_held_to_its_form_as_a_whole(name):
    group = {"variants": ["v"], "machines": ["m"], "clocks": CLOCKS}
    made = {
        "name": lambda: Machine.parse({"name": name, "description": "d", "nodes": NODES}, "f"),
        "variants": lambda: experiment({**group, "variants": [name]}),
        "machines": lambda: experiment({**group, "machines": [name]}),
        "series": lambda: variant(series=[name]),
        "fragments": lambda: variant(fragments=[name]),
    }
    for key, make in made.items():
        with pytest.raises(UserError, match=rf"(?s){key}.*is not a name: up to 100 lower-case"):
            make()


def experiment(group) -> Experiment:
    data = {"name": "e", "description": "d", "baseline": "v", "matrix": [group]}
    return Experiment.parse(data, "e.yaml")


def variant(**more) -> Variant:
    return Variant.parse({"name": "v", "description": "d", "fragments": ["base"], **more}, "v")


@pytest.mark.parametrize("name", ["a", "0", "quad-16g", "eager.debug", "x" * 100])
def test_a_name_that_is_one_is_taken(name):
    assert variant(name=name).name == name


@pytest.mark.parametrize(
    ("cls", "data", "says"),
    [
        (Base, {"version": "6.12\n"}, "not a version as 6.12"),
        (Base, {"version": "v6.12"}, "not a version as 6.12"),
        (Distribution, {"image": "x", "root": "/dev/vda1 init=/bin/sh"}, "`auto` or a device"),
        (Distribution, {"image": "x", "user": "root;id"}, "not the name of a user"),
        (Variant, {"prebuilt": {"package": "--help"}}, "not the name of a Debian package"),
    ],
)
def test_every_pattern_is_anchored_and_told_in_words(cls, data, says):
    with pytest.raises(UserError, match=says) as caught:
        cls.parse({"name": "x", "description": "d", **data}, "x.yaml")
    assert "[a-z" not in str(caught.value)


@pytest.mark.parametrize("value", [".inf", ".nan", "-.inf"])
def test_a_number_that_is_none_is_refused(tmp_path, value):
    path = tmp_path / "m.yaml"
    path.write_text(f"description: d\nnodes: [{{cpus: 0, memory: 1GiB}}]\ndeadline_s: {value}\n")
    with pytest.raises(UserError, match="deadline_s"):
        Machine.load(path)


@pytest.mark.parametrize("word", ["", "a b", "a\tb", "a\nb", "a\0b", 'x="a b', "\x1b[2J"])
def test_a_kernel_parameter_is_one_word_wherever_it_stands(word):
    group = {"variants": ["v"], "machines": ["m"], "clocks": CLOCKS}
    data = {"name": "e", "description": "d"}
    for make in (
        lambda: variant(boot=[word]),
        lambda: Machine.parse({**data, "nodes": NODES, "boot": [word]}, "m"),
        lambda: Experiment.parse({**data, "baseline": "v", "matrix": [group], "boot": [word]}, "e"),
    ):
        with pytest.raises(UserError, match="is not one kernel parameter"):
            make()
    assert variant(boot=['dyndbg="file mm/* +p"', "a=b,c"]).boot


def test_a_word_for_qemu_has_no_control_characters():
    for key, value in (("extra_args", ["-x\0"]), ("machine", "pc\n"), ("cpu", "max\0")):
        with pytest.raises(UserError, match="without control characters"):
            Machine.parse({"name": "m", "description": "d", "nodes": NODES, key: value}, "m")
    with pytest.raises(UserError, match="is no path"):
        Distribution(image="a\0b").path(Path("/"))
