"""A folder is segmented several images at a time: each as it is alone, whatever is beside it, in the folder's order."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meddiff.jobs.apply.ledger import Ledger
from meddiff.pipelines import segment


def predicted(place, out, *more):
    words = ["predict", "--input", place, "--output", out, "--members", "2", "--steps", "1", *more]
    code = segment.main([*map(str, words), "--save_overlays", "false"])
    table = pd.read_csv(out / "predictions.csv", dtype=str, keep_default_na=False)
    return code, table.set_index("name").drop(columns=["file", "seconds"])


@pytest.fixture
def folder(tmp_path):
    """Six pictures of different sizes, the third of which is damaged."""
    place = tmp_path / "in"
    place.mkdir()
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (40 + number, 50, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
    (place / "2.png").write_bytes((place / "2.png").read_bytes()[:200])
    return place


def test_each_image_of_a_folder_is_segmented_as_it_is_alone(folder, tmp_path):
    code, together = predicted(folder, tmp_path / "out")
    assert code == 0
    assert together.index.tolist() == list("012345"), "the folder's order"
    assert [bool(problem) for problem in together["problem"]] == [number == 2 for number in range(6)]
    for name in ("0", "3"):
        _, alone = predicted(folder / f"{name}.png", tmp_path / name)
        assert alone.loc[name].to_dict() == together.loc[name].to_dict()
        masks = [(place / f"{name}_mask.png").read_bytes() for place in (tmp_path / "out", tmp_path / name)]
        assert masks[0] == masks[1]


def test_on_bad_file_stop_keeps_what_came_before(folder, tmp_path, capsys):
    code, table = predicted(folder, tmp_path / "out", "--on_bad_file", "stop")
    assert code == 2
    assert "2.png" in capsys.readouterr().err
    assert [bool(mask) for mask in table["mask"]] == [True, True, False, False, False, False]


def test_a_killed_run_goes_on_with_what_it_had_not_noted(folder, tmp_path, monkeypatch, capsys):
    note, noted = Ledger.note, []

    def killed(ledger, task, line):
        if len(noted) == 2:
            raise KeyboardInterrupt
        noted.append(task.name)
        note(ledger, task, line)

    monkeypatch.setattr(Ledger, "note", killed)
    assert predicted(folder, tmp_path / "out")[0] == 130
    monkeypatch.setattr(Ledger, "note", note)
    capsys.readouterr()
    code, table = predicted(folder, tmp_path / "out")
    assert code == 0
    assert "2 of 6 were done before" in capsys.readouterr().out
    assert table.equals(predicted(folder, tmp_path / "whole")[1])
