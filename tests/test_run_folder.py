"""A run folder: held by one process, stages that know whether they are done."""

import os
import subprocess
import sys

import pytest

from meddiff.errors import InputError
from meddiff.run import RunFolder, digest


def test_a_stage_is_done_until_its_inputs_change_or_an_output_goes(tmp_path):
    folder = RunFolder(tmp_path)
    output = tmp_path / "scores.csv"
    output.write_text("x")
    assert not folder.is_done("classify", "abc")
    folder.finish("classify", "abc", [output], seconds=1.0)
    assert folder.is_done("classify", "abc")
    assert not folder.is_done("classify", "other inputs")
    output.unlink()
    assert not folder.is_done("classify", "abc")


def test_the_record_keeps_what_the_stages_before_cost(tmp_path):
    folder = RunFolder(tmp_path)
    folder.finish("manifest", "a", [], seconds=2.5)
    folder.finish("train", "b", [], seconds=9.0)
    assert {name: entry["seconds"] for name, entry in folder.record().items()} == {"manifest": 2.5, "train": 9.0}


def test_two_processes_do_not_share_a_run(tmp_path):
    code = (
        "import sys; from pathlib import Path; from meddiff.run import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).opened():\n    print('in')"
    )
    with RunFolder(tmp_path / "run").opened():
        second = subprocess.run([sys.executable, "-c", code, tmp_path / "run"], capture_output=True, text=True)
    assert "another process is running in" in second.stderr
    third = subprocess.run([sys.executable, "-c", code, tmp_path / "run"], capture_output=True, text=True)
    assert third.stdout == "in\n"


def test_a_folder_that_cannot_be_made_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"), RunFolder(tmp_path / "file" / "run").opened():
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_refused_in_a_sentence(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"), RunFolder(tmp_path / "run").opened():
        pass


def test_a_digest_depends_on_content_not_on_names(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("same")
    second.write_text("same")
    assert digest({"x": 1}, first) == digest({"x": 1}, second)
    second.write_text("other")
    assert digest({"x": 1}, first) != digest({"x": 1}, second)
    assert digest(tmp_path / "absent") != digest(first)
