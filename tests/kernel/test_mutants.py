# SPDX-License-Identifier: GPL-2.0-only
"""Every mutant is a variant of its base that can be built."""

import pytest

from bench.mutants import ROOT, lay, mutants
from harness.kernel import Kernels
from harness.project import Project


def test_each_mutant_is_its_variant_but_for_one_place(tmp_path):
    lab = Project.find(ROOT).lay_out(tmp_path / "lab")
    for mutant in (found := mutants()):
        lay(lab, mutant)
        kernels = Kernels(lab).at(mutant.base)
        trees = [kernels.tree(lab.variant(name)).tree for name in (mutant.variant, mutant.name)]
        (change,) = kernels.base.repository.changes(*trees)
        assert change.file == mutant.file
    assert len({mutant.name for mutant in found}) == len(found) > 20
    assert not [name for name in lab.variants() if name in {mutant.name for mutant in found}]


def test_a_text_that_is_not_there_once_makes_no_mutant():
    mutant = mutants()[0]
    for source in ("", mutant.text * 2):
        with pytest.raises(ValueError, match=mutant.name):
            mutant.mutate(source)
    with pytest.raises(ValueError, match="nothing-of-the-kind"):
        mutants(["nothing-of-the-kind"])
