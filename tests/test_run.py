"""A run reads its manifest once, keeps what stages share, and can be sent to another process."""

import pickle
from pathlib import Path

import pytest
from rich.console import Console

from meddiff.manifest import table
from meddiff.manifest.table import write_manifest
from meddiff.recipe import Recipe
from meddiff.run import Run, RunFolder
from tests.manifest.rows import example_row


@pytest.fixture
def run(tmp_path) -> Run[Recipe]:
    """Three images with a split."""
    splits = {"a": "train", "b": "train", "c": "test"}
    rows = [example_row(name, root=tmp_path, split=split, label=f"class {name}") for name, split in splits.items()]
    folder = RunFolder(tmp_path)
    write_manifest(rows, folder.manifest)
    return Run(Recipe(), folder, Console(quiet=True))


@pytest.fixture
def parses(monkeypatch) -> list[Path]:
    """The files that are parsed as manifests."""
    seen, parse = [], table._read_cells
    monkeypatch.setattr(table, "_read_cells", lambda path: seen.append(path) or parse(path))
    return seen


def test_the_manifest_is_parsed_once_until_it_is_written_anew(run, parses):
    assert run.classes == ("class a", "class b")
    assert [row.row_id for row in run.of("test")] == ["c"]
    assert len(run.rows) == 3
    assert parses == [run.folder.manifest]
    write_manifest(run.rows[1:], run.folder.manifest)
    run.forget()
    assert run.classes == ("class b",)
    assert len(parses) == 2


def test_what_is_kept_is_made_once(run):
    made = []
    assert run.keep("thing", lambda: made.append(1) or "thing") == run.keep("thing", lambda: "another") == "thing"
    assert made == [1]


def test_a_copy_in_another_process_reads_for_itself_and_is_silent(run, parses, capsys):
    run.keep("not to be pickled", lambda: lambda: None)
    copy = pickle.loads(pickle.dumps(run))
    assert copy == run
    assert copy.of("train") == run.of("train")
    assert len(parses) == 2
    copy.console.print("a word")
    assert capsys.readouterr().out == ""


def test_what_killed_processes_left_half_written_is_removed_and_nothing_else(run):
    path = run.folder.path
    half = f".log.csv.{'0a' * 16}.part"
    (path / half).write_text("step,lo")
    (path / "checkpoints" / f".step_00000002.{'0a' * 16}.part").mkdir(parents=True)
    (path / ".mine.part").write_text("of a user")
    with run.folder.opened():
        assert {file.name for file in path.rglob("*.part")} == {".mine.part"}
