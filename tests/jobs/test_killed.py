"""A training that is killed at any file operation goes on and ends with the same bytes, and leaves nothing else."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pandas as pd
import pytest

from meddiff.jobs import train
from meddiff.jobs.looks import Validation
from meddiff.recipe import SegmentRecipe, from_dict
from meddiff.run import Run, RunFolder
from tests.jobs.masks import write_manifest_of

RECIPE = {
    "classes": ["background", "half"],
    "data": {"image_size": 8, "channels": 1},
    "training": {"batch_size": 2, "warmup_steps": 1, "log_every": 2, "checkpoint_every": 2, "sample_every": 1},
    "baseline": {"names": ["unet"], "channels": [2, 4]},
    "validation": {"cases": 1, "members": 1},
}
RISING = {"dice": {1: 0.1, 2: 0.3, 3: 0.2}, "steps": 3, "patience": 0}
FALLING = {"dice": {1: 0.4, 2: 0.2}, "steps": 5, "patience": 1}
"""The Dice at each look, the steps that are asked for, and the looks without a better one that end training."""
CHANGING = {"os.mkdir", "os.remove", "os.rename", "os.rmdir"}


class Killed(BaseException):
    """The process is gone: no later line of it does anything."""


class Disk:
    """Counts what changes files, and lets nothing through from a number on."""

    def __init__(self) -> None:
        self.count, self.last = 0, None

    def watch(self, event: str, given: tuple) -> None:
        writes = event == "open" and given[2] & (os.O_WRONLY | os.O_RDWR) and not str(given[0]).startswith("/dev/")
        if self.last is not None and (event in CHANGING or writes):
            self.count += 1
            if self.count > self.last:
                raise Killed


DISK = Disk()
sys.addaudithook(DISK.watch)  # for good: it sees nothing while ``last`` is None


@contextmanager
def disk_until(last: float) -> Iterator[Disk]:
    """Let the first operations through, and kill the process at the next."""
    DISK.count, DISK.last = 0, last
    try:
        yield DISK
    except Killed:
        pass
    finally:
        DISK.last = None


@pytest.fixture(params=[RISING, FALLING], ids=["rising", "falling"])
def training(request, tmp_path, monkeypatch):
    """(folder) -> trains the network there, or goes on; its Dice is written in the fixture."""
    settings = {"steps": request.param["steps"], "precision": "32"}
    recipe = from_dict(SegmentRecipe, {
        **RECIPE, "data_root": str(tmp_path),
        "data": RECIPE["data"] | {"cache": str(tmp_path / "cache")},
        "training": RECIPE["training"] | settings,
        "validation": RECIPE["validation"] | {"patience": request.param["patience"]},
    })  # fmt: skip

    def dice(look: Validation) -> float:
        states = look.state.optimizer.state.values()
        return request.param["dice"].get(int(next(iter(states))["step"]), 0.1)

    monkeypatch.setattr(Validation, "dice", dice)

    def go(name: str) -> RunFolder:
        run = Run(recipe, RunFolder(tmp_path / name))
        with run.folder.opened():
            write_manifest_of(tmp_path, run.folder.manifest)
            train.train_network(run, partial(train.mask_network, "unet"))
        return run.folder

    return go


def outcome(folder: RunFolder) -> dict[str, object]:
    """All that training has left, without the times in its log."""
    model = folder.models / "unet"
    files = {file.relative_to(model).as_posix(): file for file in model.rglob("*") if file.name != "log.csv"}
    log = pd.read_csv(model / "log.csv", dtype=str).drop(columns="images_per_second")
    return {name: file.read_bytes() if file.is_file() else None for name, file in files.items()} | {
        "log.csv": log.to_csv(index=False)
    }


@pytest.mark.slow
def test_killed_at_any_file_operation_it_ends_with_the_same_bytes(training):
    with disk_until(float("inf")) as disk:
        finished = training("finished")
    wanted, operations = outcome(finished), disk.count
    assert operations > 40
    assert sum(name.startswith("best/step_") and name.count("/") == 1 for name in wanted) == 1
    for last in range(operations):
        with disk_until(last):
            training("killed")
        if (measured := finished.path.parent / "killed" / "models" / "unet" / "validation.csv").is_file():
            assert list(measured.parent.glob("best/step_*/checkpoint.json")), "the old stay until the new stand"
        assert outcome(training("killed")) == wanted, f"killed at operation {last} of {operations}"
        shutil.rmtree(finished.path.parent / "killed")


def test_best_weights_that_are_gone_are_chosen_again(training):
    folder = training("run")
    last = pd.read_csv(folder.models / "unet" / "validation.csv")["step"].max()
    best = folder.models / "unet" / "best"
    shutil.rmtree(best)
    training("run")
    assert [path.name for path in best.iterdir()] == [f"step_{last:08d}"], "the last look can be made again"
