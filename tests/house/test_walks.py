"""The ways that data go are short: through how many files of the package, counted with a profiler."""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from meddiff.jobs.job import GENERATE
from meddiff.pipelines import augment, segment
from meddiff.recipe import Recipe, from_dict
from meddiff.run import Run, RunFolder
from tests.house.source import PACKAGE
from tests.pipelines import small

pytestmark = pytest.mark.slow  # two small runs, and a profiler beside their last stages

RECIPE = """
data: {image_size: 16, phantom_images: 100}
network: {channels: [8, 16], patch_size: 1}
training: {steps: 1, batch_size: 8, warmup_steps: 1, checkpoint_every: 1, log_every: 1, sample_every: 1}
inference: {members: 2, steps: 1}
validation: {cases: 2, members: 1}
"""
MATHEMATICS = ("diffusion", "samplers", "networks", "metrics", "ensemble", "tasks", "seeds")
"""They see numbers, whatever those are of."""
TERMINAL = ("jobs/progress.py",)
"""It sees how many images are done, and writes out what a terminal would obey."""
ROOMS_OF_AN_IMAGE, FILES_OF_AN_IMAGE = 8, 23
FILES_OF_A_RECIPE = 12


def entered(work: Callable[[], Any], counted: Callable[[FrameType], bool] = lambda _: True) -> Counter[str]:
    """Counts the calls of each function of the package, ``file::name``, while something is done."""
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(PACKAGE)) and counted(frame):
            file = Path(frame.f_code.co_filename).relative_to(PACKAGE).as_posix()
            calls[f"{file}::{frame.f_code.co_qualname}"] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def files_of(calls: Counter[str]) -> set[str]:
    return {name.partition("::")[0] for name in calls}


@pytest.fixture(scope="module")
def segmentation(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("walks")
    (place / "recipe.yaml").write_text(RECIPE)
    words = ["train", "--config", place / "recipe.yaml", "--dataset", "phantom", "--out", place / "run"]
    assert segment.main([*map(str, words), f"--data.cache={place / 'cache'}"]) == 0
    return place / "run"


def predicted(run: Path, place: Path, count: int) -> Counter[str]:
    """Counts the calls of a `segment predict` of so many pictures."""
    (place / f"{count}").mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 24, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{count}" / f"{number}.png")
    words = ["predict", "--checkpoint", run, "--input", place / f"{count}", "--output", place / f"out{count}"]
    words += ["--save-overlays", "false"]  # the way to the mask; a picture of it is made of what came out
    return entered(lambda: segment.main([*map(str, words)]))


def test_an_image_of_segment_predict_walks_through_few_rooms(segmentation, tmp_path):
    few, more = (predicted(segmentation, tmp_path, count) for count in (1, 3))
    files = {file for file in files_of(more - few) if not file.startswith((*MATHEMATICS, *TERMINAL))}
    rooms = {file.partition("/")[0] for file in files}
    assert len(rooms) <= ROOMS_OF_AN_IMAGE, rooms
    assert len(files) <= FILES_OF_AN_IMAGE, files


def test_the_recipe_of_a_study_reaches_its_report_through_few_files(tmp_path):
    images = small.draw(tmp_path / "images", {"a": 24, "b": 24, "c": 24})
    assert augment.main(small.arguments(tmp_path, tmp_path / "run", "--data-root", images)) == 0
    folder = RunFolder(tmp_path / "run")
    run = Run(from_dict(Recipe, yaml.safe_load(folder.recipe.read_text())), folder)
    kinds = (
        Recipe,
        Run,
        *(type(part) for entry in fields(Recipe) if is_dataclass(part := getattr(run.recipe, entry.name))),
    )
    carried = entered(
        lambda: GENERATE[-1].run(run), lambda frame: any(isinstance(value, kinds) for value in frame.f_locals.values())
    )
    assert len(files_of(carried)) <= FILES_OF_A_RECIPE, files_of(carried)
