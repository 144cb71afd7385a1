# SPDX-License-Identifier: GPL-2.0-only
"""Work trees of a repository."""

from pathlib import Path

from harness.kernel import patches
from harness.kernel.git import Repository
from tests.support.sources import MM, series


def test_check_out_writes_only_what_differs_and_repairs(fetched, tmp_path):
    one = series(tmp_path, "one", MM, MM.replace("line 5\n", "line five\n"))
    tree = patches.apply(fetched, [one]).tree
    folder, index = tmp_path / "work", tmp_path / "index"
    fetched.repository.check_out(fetched.tree, folder, index)
    makefile = (folder / "Makefile").stat().st_mtime_ns
    (folder / "untracked").write_text("stays")
    fetched.repository.check_out(tree, folder, index)
    assert (folder / "Makefile").stat().st_mtime_ns == makefile
    assert "line five" in (folder / "mm/page.c").read_text()
    (folder / "mm/page.c").write_text("edited by hand")
    fetched.repository.check_out(tree, folder, index)
    assert "line five" in (folder / "mm/page.c").read_text()
    assert (folder / "untracked").read_text() == "stays"


def test_what_is_of_no_tree_is_cleaned_away_but_for_builds(fetched, tmp_path):
    folder, index = tmp_path / "work", tmp_path / "index"
    fetched.repository.check_out(fetched.tree, folder, index)
    for name in ("localversion-mine", "mm/more.h", "build-0/vmlinux"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("x")
    fetched.repository.clean(folder, index, "/build-*")
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert left == {"Makefile", "mm/page.c", ".gitignore", "build-0/vmlinux"}


def test_attributes_of_the_user_change_no_file(fetched, tmp_path, monkeypatch):
    for variable, folder in (("HOME", ".config/git"), ("XDG_CONFIG_HOME", "git")):
        monkeypatch.setenv(variable, str(tmp_path / variable))
        (tmp_path / variable / folder).mkdir(parents=True)
        (tmp_path / variable / folder / "attributes").write_text("*.c text eol=crlf\n")
    fetched.repository.check_out(fetched.tree, tmp_path / "work", tmp_path / "index")
    assert b"\r" not in (tmp_path / "work/mm/page.c").read_bytes()


def test_a_renewed_file_is_new_to_make_and_known_to_git(tmp_path: Path) -> None:
    repository, folder, index = Repository.create(tmp_path / "r"), tmp_path / "w", tmp_path / "i"
    folder.mkdir()
    for name in ("one.c", "two.c"):
        (folder / name).write_text(name)
    repository.git("add", ".", index=index, work_tree=folder)
    tree = repository.git("write-tree", index=index).stdout.decode().strip()
    repository.check_out(tree, folder, index)
    before = {name: (folder / name).stat().st_mtime_ns for name in ("one.c", "two.c")}
    repository.renew(["one.c", "gone.c"], folder, index)
    middle = (folder / "one.c").stat().st_mtime_ns
    assert middle > before["one.c"]
    # What is switched to the same tree afterwards is not written again.
    repository.check_out(tree, folder, index)
    assert (folder / "one.c").stat().st_mtime_ns == middle
    assert (folder / "two.c").stat().st_mtime_ns == before["two.c"]
