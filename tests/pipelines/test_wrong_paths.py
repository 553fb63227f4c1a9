"""A path that is not there is one sentence, and no command leaves anything behind."""

import pytest

from meddiff.console import main as console

WRONG = {
    "augment": ["--data-root", "nowhere"],
    "train": ["--data-root", "nowhere"],
    "synthesize": ["--manifest", "nowhere.csv"],
    "classify": ["--config", "nowhere.yaml"],
    "segment train": ["--data-root", "nowhere"],
    "segment evaluate": ["--manifest", "nowhere.csv"],
    "segment test": ["--checkpoint", "nowhere", "--data_root", "nowhere", "--out", "out"],
    "segment predict": ["--input", "nowhere.png", "--output", "out"],
    "translate train": ["--data-root", "nowhere"],
    "translate evaluate": ["--data-root", "nowhere"],
    "translate predict": ["--checkpoint", "nowhere", "--input", "nowhere.png", "--output", "out"],
    "autoencode train": ["--data-root", "nowhere"],
    "detect train": ["--dataset", "lgg", "--data-root", "nowhere"],
    "detect evaluate": ["--dataset", "lgg", "--manifest", "nowhere.csv"],
    "detect predict": ["--checkpoint", "nowhere", "--input", "nowhere", "--output", "out"],
    "evaluate images": ["--real", "nowhere", "--synthetic", "nowhere", "--out", "out"],
    "evaluate masks": ["--truth", "nowhere", "--prediction", "nowhere", "--out", "out"],
    "evaluate augmentation": ["--run", "nowhere"],
    "edit": ["--method", "invert", "--label", "a", "--checkpoint", "nowhere", "--input", "nowhere", "--output", "out"],
    "likelihood": ["--checkpoint", "nowhere", "--output", "out"],
    "inspect": ["nowhere"],
    "build_manifest": ["--source", "image_folder", "--root", "nowhere"],
    "publish": ["--run", "nowhere", "--out", "out"],
    "serve": ["nowhere"],
    "export nnunet": ["nowhere", "--out", "Dataset501_A"],
    "export dicom": ["nowhere", "--out", "out"],
    "runs": ["nowhere"],
}


def test_every_command_that_reads_is_asked():
    asked = {command.partition(" ")[0] for command in WRONG}
    assert set(console.COMMANDS) - asked <= {"download", "doctor", "cache", "watch"}  # watch waits for a run to come


@pytest.mark.parametrize("command", WRONG)
def test_a_wrong_path_leaves_nothing_behind(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / "cache"))
    assert console.main([*command.split(), *WRONG[command]]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
