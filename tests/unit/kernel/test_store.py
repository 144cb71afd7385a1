# SPDX-License-Identifier: GPL-2.0-only
"""One id, one kernel: what a build takes from outside, and what the store does with a wrong one."""

import shutil

import pytest

from harness.errors import ConfigError, UserError
from harness.kernel import Source, build, kconfig
from harness.kernel.build import Build
from harness.kernel.store import Kernels
from harness.model import Experiment, Lockfile, Toolchain, Variant, base_of
from harness.project import Project
from harness.run import prepare
from tests.support.checkout import BASE, ROOT
from tests.support.sources import KBUILD, MM, lay_base, tarball

LOCKS = sorted((ROOT / "results/reference").glob("*/experiment.lock.yaml"))

TELLS = {
    **{"KCFLAGS": "-DX", "LOCALVERSION": "-mine", "HOSTCFLAGS": "-DX", "LLVM": "1"},
    **{"CC": "tcc", "KBUILD_BUILD_USER": "me", "ARCH": "arm64", "CROSS_COMPILE": "arm-"},
    **{"CPATH": "/x", "SOURCE_DATE_EPOCH": "7", "LD_PRELOAD": "", "MAKEFLAGS": "-k"},
    **{"GCC_EXEC_PREFIX": "/x/", "KAFLAGS": "-DX", "PYTHONPATH": "/x", "USER_OF_ALL": "1"},
}
"""What a shell may hold that a kernel's makefiles or compilers heed."""


@pytest.fixture
def place(checkout) -> Project:
    patches = lay_base(checkout, KBUILD)
    (patches / "variants/toy.yaml").write_text("description: d\nfragments: [base]\n")
    return Project.find(checkout, checkout.parent / "cache")


def test_a_build_knows_nothing_of_the_shell_around_it(place, monkeypatch):
    clean = Kernels(place).get(place.variant("toy"))
    first = clean.image.read_text()
    shutil.rmtree(clean.image.parent)
    for name, value in TELLS.items():
        monkeypatch.setenv(name, value)
    again = Kernels(place).get(place.variant("toy"))
    assert again.kernel == clean.kernel
    assert again.image.read_text() == first
    names = {line.partition("=")[0] for line in first.splitlines()}
    ours = {"PATH", "HOME", "TMPDIR", *build.FIXED, "CCACHE_DIR", "CCACHE_STATSLOG"}
    own = {"SHLVL", "PWD", "OLDPWD", "_", "CC", "LLVM", "CROSS_COMPILE", "MFLAGS"}
    assert {name for name in names if not name.startswith("MAKE")} <= ours | own


def test_what_was_chosen_is_told_to_make_and_part_of_the_id(place):
    file = place.patches / "variants/toy.yaml"
    plain = Kernels(place).get(place.variant("toy")).kernel
    prefix = "CC=ccache {}\n" if shutil.which("ccache") else "CC={}\n"
    file.write_text("description: d\nfragments: [base]\ntoolchain: {compiler: nocc-gcc}\n")
    with pytest.raises(Exception, match="nocc-gcc is not installed"):
        Kernels(place).get(place.variant("toy"))
    file.write_text("description: d\nfragments: [base]\ntoolchain: {compiler: cc}\n")
    other = Kernels(place).get(place.variant("toy"))
    assert prefix.format("cc") in other.image.read_text()
    assert other.kernel.kernel_id != plain.kernel_id
    assert other.kernel.toolchain.endswith("; CC=cc")
    # A base chooses for all its variants, and one of them may choose otherwise.
    base = place.root / BASE
    base.write_text(base.read_text() + "toolchain: {compiler: cc}\n")
    file.write_text("description: d\nfragments: [base]\n")
    assert Kernels(place).get(place.variant("toy")).kernel == other.kernel
    file.write_text("description: d\nfragments: [base]\ntoolchain: {}\n")
    assert Kernels(place).get(place.variant("toy")).kernel == plain


def test_options_of_a_variant_are_part_of_the_id(place):
    plain = Kernels(place).get(place.variant("toy")).kernel
    file = place.patches / "variants/toy.yaml"
    name = (place.patches / "configs/base.config").read_text().partition("=")[0]
    file.write_text(f"description: d\nfragments: [base]\noptions: {{{name}: y}}\n")
    with pytest.raises(ConfigError, match="overrides nothing"):
        Kernels(place).get(place.variant("toy"))
    file.write_text(f"description: d\nfragments: [base]\noptions: {{{name}: n}}\n")
    assert Kernels(place).get(place.variant("toy")).kernel.kernel_id != plain.kernel_id
    assert Kernels(place).known(place.variant("toy"))


def test_a_toolchain_names_its_programs():
    llvm = Toolchain(llvm="-15", cross="x86_64-linux-gnu-")
    assert (llvm.cc, llvm.linker) == ("clang-15", "ld.lld-15")
    assert llvm.words == ("LLVM=-15", "CROSS_COMPILE=x86_64-linux-gnu-")
    cross = Toolchain(cross="x86_64-linux-gnu-")
    assert (cross.cc, cross.linker) == ("x86_64-linux-gnu-gcc", "x86_64-linux-gnu-ld")
    assert (Toolchain().cc, Toolchain().linker, Toolchain().words) == ("gcc", "ld", ())
    assert Toolchain(llvm=True).words == ("LLVM=1",)


@pytest.mark.parametrize(
    "keys", [{"compiler": "gcc -DX"}, {"compiler": "-x"}, {"cross": "arm"}, {"llvm": "15"}]
)
def test_a_toolchain_is_no_place_for_flags(keys):
    with pytest.raises(UserError):
        Toolchain.parse(keys, "6.12.yaml")


def test_a_prebuilt_kernel_is_compiled_already():
    with pytest.raises(UserError, match="compiled already"):
        Variant.parse(
            {
                **{"name": "v", "description": "d", "prebuilt": {"path": "b"}},
                "toolchain": {"llvm": True},
            },
            "v.yaml",
        )


@pytest.mark.parametrize("file", ["bzImage", "config", "kernel.json"])
def test_a_kernel_that_is_not_what_was_recorded_is_set_aside_by_name(place, file, caplog):
    stored = Kernels(place).get(place.variant("toy"))
    path = stored.image.with_name(file)
    path.write_bytes(path.read_bytes()[:-9] + b"elsewhere")
    kernels = Kernels(place)
    assert kernels.known(place.variant("toy")) is None
    again = kernels.get(place.variant("toy"))
    assert again == stored
    aside = stored.image.parent.with_name(f"damaged-{stored.kernel.kernel_id}-1")
    assert (aside / file).read_bytes().endswith(b"elsewhere")
    assert str(aside) in caplog.text
    assert Kernels(place).known(place.variant("toy")) == stored


def test_a_kernel_under_the_name_of_another_is_none(place):
    """An entry that was copied matches its own record, and is another kernel all the same."""
    stored = Kernels(place).get(place.variant("toy"))
    (place.patches / "configs/base.config").write_text("CONFIG_NUMA=n\n")
    other = Kernels(place).get(place.variant("toy"))
    shutil.rmtree(stored.image.parent)
    shutil.copytree(other.image.parent, stored.image.parent)
    (place.patches / "configs/base.config").write_text("CONFIG_NUMA=y\n")
    assert Kernels(place).get(place.variant("toy")).kernel == stored.kernel


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.parent.name)
def test_ids_are_those_of_the_committed_kernels(lock):
    """Where nothing was chosen, an id is what it always was."""
    known = Lockfile.from_yaml(lock.read_bytes(), str(lock))
    for name, kernel in known.kernels.items():
        if isinstance(kernel, str) or not (kernel.tree and kernel.toolchain):
            continue
        place = Project(ROOT, ROOT)
        variant = known.variants[name]
        files = place.fragments(variant.fragments, place.base(base_of(name)))
        asked = kconfig.merge(kconfig.parse(file.read_text(), str(file)) for file in files)
        asked = kconfig.overridden(asked, variant.options or {}, name)
        source = Source(repo=ROOT, tree="", version="", sha256=None, origin="")
        assert Build(source, kernel.tree, asked, kernel.toolchain).kernel_id == kernel.kernel_id


def test_a_prebuilt_kernel_is_found_from_the_checkout_or_a_home(place, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.chdir("/")
    (tmp_path / "me").mkdir()
    shutil.copy(place.root / "one.img", tmp_path / "me/vmlinuz-6.1")
    (tmp_path / "me/config-6.1").write_text("CONFIG_NR_CPUS=8\n")
    for path in ("one.img", "~/vmlinuz-6.1"):
        one = Variant(name="v", description="d", prebuilt={"path": path})
        assert Kernels(place).get(one).kernel == Kernels(place).get(place.variant("one")).kernel
        assert Kernels(place).known(one) == Kernels(place).get(one)
    assert Kernels(place).get(one).config == tmp_path / "me/config-6.1"


def test_kernels_of_two_bases_lie_side_by_side(place, checkout):
    """The same variant, its series in a folder for each base: 6.12 keeps names and ids."""
    old = Kernels(place).get(place.variant("toy"))
    text = (place.root / BASE).read_text()
    archive = checkout.parent / "newer.tar.xz"
    newer = KBUILD.replace("PATCHLEVEL = 12", "PATCHLEVEL = 13")
    sha256 = tarball(archive, {"Makefile": newer, "mm/page.c": MM + "more\n"})
    (place.root / BASE).write_text(text + "default: true\n")
    file = place.root / "kernel-patches/bases/6.13.yaml"
    file.write_text(
        f"version: '6.13'\nprovider: {{tarball: {{path: {archive}, sha256: {sha256}}}}}\n"
    )
    experiment = Experiment(
        name="x",
        description="x",
        baseline="toy",
        bases=("6.12", "6.13"),
        matrix=[{"variants": ["toy"], "machines": ["small"], "clocks": {"time": {"aa": True}}}],
    )
    session = prepare(place, experiment)
    assert set(session.kernels) == {"toy@6.12", "toy@6.13", "toy@6.12@2", "toy@6.13@2"}
    assert session.kernels["toy@6.12"] == session.kernels["toy@6.12@2"] == old
    assert session.kernels["toy@6.13"].kernel.base_version == "6.13.1"
    assert session.lock.bases == {"6.12": "6.12.1", "6.13": "6.13.1"}
    assert session.lock.base == "6.12.1, 6.13.1"
    again = Lockfile.from_yaml(session.lock.to_yaml(), "lock")
    assert again.bases == session.lock.bases and again.hash == session.lock.hash
    plain = prepare(place, experiment.model_copy(update={"bases": None}))
    assert plain.lock.bases is None and set(plain.kernels) == {"toy", "toy@2"}
    (place.patches / "only/6.12").mkdir(parents=True)
    (place.patches / "only/6.12/series").touch()
    (place.patches / "variants/toy.yaml").write_text(
        "description: d\nseries: [only]\nfragments: [base]\n"
    )
    with pytest.raises(UserError, match=r"series only has no port to base 6\.13"):
        prepare(place, experiment)
