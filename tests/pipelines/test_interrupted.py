"""Ctrl-C in every stage, and SIGKILL in the long ones: the same command goes on and ends with the same bytes."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from meddiff.pipelines import augment
from meddiff.training.ema import Ema
from meddiff.training.processes.signals import STOPS
from tests.pipelines.small import arguments, draw

MOMENTS = {
    "manifest": ("manifest", "write_manifest", 1),
    "train": ("looks", "generate", 1),
    "train, in the middle of a step": ("train", "interrupted_in_a_step", 3),
    "synthesize": ("generate.synthesize", "save_image", 5),
    "filter": ("generate.filter", "predict", 1),
    "classify": ("generate.classify", "train_classifier", 2),
    "report": ("generate.report", "galleries", 1),
}
"""Stage: its module, a function that it calls, and at which call the signal comes."""


def signal_at(number: int, function, which: int):
    """The function, with the signal sent to this process when it is called for the ``number``-th time."""
    calls = []

    def wrapped(*args, **settings):
        calls.append(None)
        if len(calls) == number:
            signal.raise_signal(which)
        return function(*args, **settings)

    return wrapped


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("interrupted")


@pytest.fixture(scope="module")
def images(workplace) -> Path:
    return draw(workplace / "images", {"a": 24, "b": 24, "c": 24})


@pytest.fixture(scope="module")
def results(workplace, images) -> dict[str, bytes]:
    """What a run writes that nobody stopped."""
    assert augment.main(arguments(workplace, workplace / "finished", "--data-root", images)) == 0
    return outcome(workplace / "finished")


def outcome(run: Path) -> dict[str, bytes]:
    """All that a run's numbers and pictures are, by name."""
    files = ["predictions.csv", "filter.csv", "scores.csv", "manifest.csv", "synthetic_manifest.csv"]
    weights = sorted((run / "checkpoints" / "step_00000004").glob("*.safetensors"))
    pictures = sorted((run / "synthetic").rglob("*.png"))
    return {
        file.relative_to(run).as_posix(): file.read_bytes()
        for file in [*(run / name for name in files), *weights, *pictures]
    }


@pytest.fixture
def listening():
    """Signals are heard, also where the tests run in the background, whose shell has Ctrl-C ignored."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in STOPS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


LONG = ("train, in the middle of a step", "synthesize")


@pytest.mark.usefixtures("listening")
@pytest.mark.parametrize(
    ("moment", "number"),
    [*((moment, signal.SIGINT) for moment in MOMENTS), *((moment, number) for moment in LONG for number in STOPS[1:])],
)
def test_a_signal_is_one_line_and_the_same_command_goes_on(
    workplace, images, results, tmp_path, capsys, moment, number
):
    command = arguments(workplace, tmp_path / "run", "--data-root", images)
    name, function, call = MOMENTS[moment]
    stage = importlib.import_module(f"meddiff.jobs.{name}")
    with pytest.MonkeyPatch.context() as patch:
        if function == "interrupted_in_a_step":
            patch.setattr(Ema, "update", signal_at(call, Ema.update, number))  # after the optimizer's step
        else:
            patch.setattr(stage, function, signal_at(call, getattr(stage, function), number))
        assert augment.main(command) == 128 + number
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1] == "stopped; the same command goes on from here"
    moved = tmp_path / "elsewhere" / "run"
    moved.parent.mkdir()
    (tmp_path / "run").rename(moved)
    assert augment.main(arguments(workplace, moved, "--data-root", images)) == 0
    assert outcome(moved) == results
    assert checkpoints(moved) == checkpoints(workplace / "finished")


def checkpoints(run: Path) -> set[str]:
    return {path.name for path in (run / "checkpoints").iterdir()}


KILLED = """
import importlib, sys, signal
from meddiff.pipelines import augment
from meddiff.training.ema import Ema
from tests.pipelines.test_interrupted import signal_at
stage = importlib.import_module("meddiff.jobs.{stage}")
stage.{function} = signal_at({call}, stage.{function}, signal.SIGKILL)
augment.main(sys.argv[1:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["synthesize", "classify"])
def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(workplace, images, results, tmp_path, moment):
    command = arguments(workplace, tmp_path / "run", "--data-root", images)
    stage, function, call = MOMENTS[moment]
    program = KILLED.format(stage=stage, function=function, call=call)
    root = Path(__file__).parents[2]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}  # as in this process: sums of two threads round differently
    command_line = [sys.executable, "-c", program, *command]
    killed = subprocess.run(command_line, cwd=root, env=one_thread, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert augment.main(command) == 0
    assert outcome(tmp_path / "run") == results


def test_in_a_pipe_and_in_a_narrow_terminal_every_name_can_be_read(
    workplace, images, results, tmp_path, monkeypatch, capsys
):
    for columns in ("80", "40"):
        monkeypatch.setenv("COLUMNS", columns)
        assert augment.main(arguments(workplace, workplace / "finished", "--data-root", images)) == 0
        said = capsys.readouterr().out
        assert "\x1b" not in said
        assert "…" not in said
        assert f"run folder: {workplace / 'finished'}\n" in said
