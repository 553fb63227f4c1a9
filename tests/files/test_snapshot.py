"""What stood in a folder is put back, unless work was done in it."""

from pathlib import Path

import pytest

from meddiff.files.snapshot import Snapshot


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("recipe.yaml", "phantom/a/1.png", "weights/w.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    return tmp_path


def of(folder: Path) -> Snapshot:
    return Snapshot.of(folder, papers=[folder / "recipe.yaml", folder / "manifest.csv"], grown=folder / "phantom")


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() if path.is_file() else "" for path in folder.rglob("*")
    }


def test_papers_are_restored_and_what_was_added_is_removed(folder):
    before, snapshot = contents(folder), of(folder)
    for name in ("recipe.yaml", "manifest.csv", "phantom/a/2.png", "phantom/b/c/3.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("after")
    assert snapshot.put_back()
    assert contents(folder) == before


def test_a_paper_that_was_removed_comes_back(folder):
    before, snapshot = contents(folder), of(folder)
    (folder / "recipe.yaml").unlink()
    assert snapshot.put_back()
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["weights/w.bin", "weights/new.bin", "phantom/a/1.png"])
def test_nothing_is_touched_where_work_was_done(folder, name):
    snapshot = of(folder)
    for changed in ("recipe.yaml", "manifest.csv", "phantom/a/2.png", name):
        (folder / changed).write_text("after that")
    after = contents(folder)
    assert not snapshot.put_back()
    assert contents(folder) == after


def test_a_lost_file_is_work_that_was_done(folder):
    snapshot = of(folder)
    (folder / "weights" / "w.bin").unlink()
    (folder / "recipe.yaml").write_text("after")
    assert not snapshot.put_back()
    assert (folder / "recipe.yaml").read_text() == "after"
