"""Two processes on one folder, and files that others change meanwhile: nothing is mixed, nothing goes on in silence."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meddiff.manifest.table import read_manifest
from meddiff.pipelines import augment
from tests.pipelines.small import arguments, copied, draw

ROOT = Path(__file__).parents[2]
COMMAND = """
import sys
from meddiff.pipelines import {module}
sys.exit({module}.main(sys.argv[1:]))
"""


def begun(module: str, *words: object) -> subprocess.Popen:
    program = COMMAND.format(module=module)
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # as in this process: sums of two threads round differently
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)], cwd=ROOT, env=one_thread, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def images(workplace) -> Path:
    return draw(workplace / "images", {"a": 24, "b": 24})


@pytest.fixture(scope="module")
def finished(workplace, images) -> Path:
    assert augment.main(arguments(workplace, workplace / "finished", "--data-root", images)) == 0
    return workplace / "finished"


def outcome(run: Path) -> dict[str, bytes]:
    files = [run / "manifest.csv", run / "synthetic_manifest.csv", run / "filter.csv", run / "predictions.csv",
             *(run / "checkpoints" / "step_00000004").glob("*.safetensors")]  # fmt: skip
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.slow
def test_of_two_on_one_run_folder_one_is_refused_and_the_other_is_as_if_alone(workplace, images, finished, tmp_path):
    words = arguments(workplace, tmp_path / "run", "--data-root", images)
    processes = [begun("augment", *words) for _ in range(2)]
    said = [process.communicate(timeout=300) for process in processes]
    codes = sorted(process.returncode for process in processes)
    assert codes in ([0, 2], [0, 0]), said  # the second may begin when the first has ended
    for process, (_, errors) in zip(processes, said, strict=True):
        assert "Traceback" not in errors
        assert process.returncode == 0 or "another process is running" in errors
    assert outcome(tmp_path / "run") == outcome(finished)


@pytest.mark.slow
def test_two_that_fill_one_cache_at_once_end_as_if_alone(workplace, images, finished, tmp_path):
    runs = [tmp_path / "one", tmp_path / "two"]
    cache = f"--data.cache={tmp_path / 'cache'}"
    processes = [begun("augment", *arguments(workplace, run, "--data-root", images), cache) for run in runs]
    for process, (_, errors) in zip(
        processes, [process.communicate(timeout=300) for process in processes], strict=True
    ):
        assert process.returncode == 0, errors
    for run in runs:
        assert outcome(run) == outcome(finished)
    assert not list((tmp_path / "cache").rglob(".*.part"))


STAGES = {
    "train": ("log.csv", "checkpoints"), "synthesize": ("synthetic_manifest.csv", "synthetic"),
    "filter": ("filter.csv",), "classify": ("predictions.csv",), "report": ("report.html",),
}  # fmt: skip
"""Stage -> what it wrote; without it the stage is the next to be done."""


@pytest.mark.parametrize(
    ("stage", "split"),
    [("train", "train"), ("train", "test"), ("synthesize", "train"), ("filter", "val"), ("classify", "train"),
     ("report", "test")],
)  # fmt: skip
def test_an_image_that_changed_is_noticed_by_every_stage(workplace, images, finished, tmp_path, capsys, stage, split):
    own, run = copied(images, tmp_path / "images"), copied(finished, tmp_path / "run")
    row = next(row for row in read_manifest(run / "manifest.csv", root=own) if row.split == split)
    for name in STAGES[stage]:
        (shutil.rmtree if (run / name).is_dir() else os.remove)(run / name)
    Image.fromarray(np.zeros((20, 24, 3), np.uint8)).save(row.image_file)
    capsys.readouterr()
    assert augment.main(arguments(workplace, run, "--data-root", own)) == 2
    assert re.search(f"1 of the files .* have changed: {re.escape(row.image_path)}", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("stage", "other"),
    [("synthesize", "replaced"), ("filter", "replaced"), ("filter", "by a copy of another"),
     ("filter", "one byte more"), ("classify", "one byte more"), ("report", "by a copy of another")],
)  # fmt: skip
def test_a_synthetic_image_that_changed_is_noticed(workplace, images, finished, tmp_path, capsys, stage, other):
    run = copied(finished, tmp_path / "run")
    rows = read_manifest(run / "synthetic_manifest.csv")
    file, content = rows[0].image_file, rows[0].image_file.read_bytes()
    if other == "replaced":
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(file)
    else:
        file.write_bytes(rows[1].image_file.read_bytes() if other == "by a copy of another" else content + b"\0")
    if stage == "synthesize":
        rows[2].image_file.unlink()
    else:
        for name in STAGES[stage]:
            (run / name).unlink()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert augment.main(arguments(workplace, run, "--data-root", images)) == 2
    assert "1 of the images that were drawn have changed: synthetic/" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    file.unlink()
    assert augment.main(arguments(workplace, run, "--data-root", images)) == 0
    assert file.read_bytes() == content
    assert outcome(run) == outcome(finished)
