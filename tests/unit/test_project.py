# SPDX-License-Identifier: GPL-2.0-only
"""Where things are."""

from pathlib import Path

import pytest

from harness import project
from harness.errors import UserError
from harness.project import Project
from tests.support.sources import lay_base


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"PAGEINIT_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/pageinit"),
        ({"XDG_CACHE_HOME": "relative", "HOME": "/h"}, "/h/.cache/pageinit"),
    ],
)
def test_cache_folder(environ, expected):
    assert project.cache_folder(environ) == Path(expected)


SECOND = "version: '7.3'\nprovider: {tarball: {path: /x, sha256: " + "a" * 64 + "}}\n"


@pytest.fixture
def place(checkout: Path) -> Project:
    """A checkout with bases 6.12 and 7.3, and series `ported`, `one` and `old`."""
    patches = lay_base(checkout)
    (patches / "bases/7.3.yaml").write_text(SECOND)
    for folder in ("ported/6.12", "ported/7.3", "one", "old/6.12"):
        (patches / folder).mkdir(parents=True)
        (patches / folder / "series").touch()
    text = "description: d\nseries: [ported, {}]\nfragments: [base]\n"
    for name in ("one", "old"):
        (patches / f"variants/with-{name}.yaml").write_text(text.format(name))
    return Project.find(checkout, checkout.parent / "cache")


def test_the_default_base_says_so(place: Project) -> None:
    with pytest.raises(UserError, match=r"2 bases may be meant: 6\.12, 7\.3") as caught:
        place.base()
    assert "default: true" in str(caught.value)
    file = place.patches / "bases/6.12.yaml"
    file.write_text(file.read_text() + "default: true\n")
    assert place.base().name == "6.12" == place.base("6.12").name
    assert [place.chosen(name) for name in (None, "6.12", "7.3")] == [None, None, "7.3"]
    with pytest.raises(UserError, match=r"no base called '7\.4'"):
        place.chosen("7.4")
    (place.patches / "bases/7.3.yaml").write_text(SECOND + "default: true\n")
    with pytest.raises(UserError, match="2 bases may be meant"):
        place.base()


def test_a_series_is_taken_as_it_was_made_for_the_base(place: Project) -> None:
    old, new = place.base("6.12"), place.base("7.3")
    variant, behind = place.variant("with-one"), place.variant("with-old")
    root = place.patches
    assert place.series(variant, old) == (root / "ported/6.12", root / "one")
    assert place.series(variant, new) == (root / "ported/7.3", root / "one")
    assert [v.name for v in place.built(base="7.3")] == ["with-one"]
    with pytest.raises(UserError, match=r"series old has no port to base 7\.3") as caught:
        place.series(behind, new)
    assert "it has ports to: 6.12" in str(caught.value)


def test_a_base_can_take_the_ports_of_another(place: Project) -> None:
    (place.patches / "bases/mainline.yaml").write_text(SECOND + "ports: 7.3\n")
    mainline = place.base("mainline")
    assert place.port("ported", mainline) == place.patches / "ported/7.3"
    (place.patches / "ported/mainline").mkdir()
    (place.patches / "ported/mainline/series").touch()
    assert place.port("ported", mainline) == place.patches / "ported/mainline"
    (place.patches / "bases/mainline.yaml").write_text(SECOND + "ports: 7.1\n")
    with pytest.raises(UserError, match=r"ports: no base called '7\.1'"):
        place.base("mainline")


def test_a_fragment_is_what_bases_share_and_what_one_has_beside(place: Project) -> None:
    configs = place.patches / "configs"
    for folder in ("6.12", "7.3"):
        (configs / folder).mkdir()
    (configs / "6.12/base.config").touch()
    (configs / "7.3/alone.config").touch()
    old, new = place.base("6.12"), place.base("7.3")
    assert place.fragments(["base"], old) == (
        configs / "base.config",
        configs / "6.12/base.config",
    )
    assert place.fragments(["base", "alone"], new) == (
        configs / "base.config",
        configs / "7.3/alone.config",
    )
    with pytest.raises(UserError, match=r"no fragment alone for base 6\.12"):
        place.fragments(["alone"], old)


def test_a_fragment_has_what_the_architecture_asks_for_beside(place: Project) -> None:
    configs, arm = place.patches / "configs", SECOND + "ports: 7.3\ntoolchain: {arch: arm64}\n"
    (place.patches / "bases/7.3-arm64.yaml").write_text(arm)
    for folder in ("x86_64", "arm64", "7.3"):
        (configs / folder).mkdir()
        (configs / folder / "base.config").touch()
    made = {
        name: [str(path.relative_to(configs)) for path in place.fragments(["base"], base)]
        for name in ("7.3", "7.3-arm64")
        for base in [place.base(name)]
    }
    assert made["7.3"] == ["base.config", "x86_64/base.config", "7.3/base.config"]
    assert made["7.3-arm64"] == ["base.config", "arm64/base.config", "7.3/base.config"]


def test_an_experiment_is_put_on_another_base(place: Project) -> None:
    file = place.patches / "bases/6.12.yaml"
    file.write_text(file.read_text() + "default: true\n")
    (place.root / "experiments/both.yaml").write_text(
        "description: d\nbaseline: eager\nbases: ['6.12', '7.3']\nmatrix:\n"
        "  - {variants: [eager], machines: [small], clocks: {time: {blocks: 1}}, bases: ['6.12']}\n"
        "  - {variants: [eager], machines: [small], clocks: {time: {blocks: 1}}}\n"
    )
    assert place.experiment("both").variants == ("eager@6.12", "eager@7.3")
    assert place.experiment("both", "7.3").variants == ("eager@7.3",)
    assert place.experiment("both", "6.12").variants == ("eager",)
    with pytest.raises(UserError, match="no-such"):
        place.experiment("both", "no-such")
