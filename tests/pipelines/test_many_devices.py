"""Several processes do what one does: the same bytes of images, and a killed one costs nothing."""

import signal
from pathlib import Path

import pytest
import torch

from meddiff.pipelines import synthesize, train
from meddiff.training import checkpoint
from tests.pipelines import small
from tests.pipelines.launched import Accident, launch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.cuda.is_available(), reason="processes of a CPU are meant"),
]
STEPS = ["--training.steps", "6", "--training.precision", "32", "--training.log_every", "1", "--preset", "quick"]
TWO = [*STEPS, "--training.devices", "2", "--training.batch_size", "4"]
STEP = "meddiff.jobs.training_run.TrainingRun.after"


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("devices")
    small.draw(place / "images", {"a": 12, "b": 12})
    return place


def words_of(place: Path, name: str, *more: str) -> list[str]:
    return small.arguments(place, place / name, "--data-root", place / "images", *more)


@pytest.fixture(scope="module")
def together(place) -> Path:
    """A run that two processes have trained, undisturbed."""
    outcomes = launch(["train", *words_of(place, "two", *TWO)], 2, place)
    assert [code for code, _ in outcomes] == [0, 0], outcomes
    assert "training diffusion: 6 steps" in outcomes[0][1]
    assert not outcomes[1][1], "one process speaks"
    return place / "two"


@pytest.fixture(scope="module")
def alone(place) -> Path:
    """A run of one process, up to the images."""
    torch.set_num_threads(1)
    assert synthesize.main(words_of(place, "one", *STEPS)) == 0
    return place / "one"


def weights(run: Path) -> dict[str, bytes]:
    newest = checkpoint.latest(run / "checkpoints")
    assert newest is not None
    return {file.name: file.read_bytes() for file in newest.glob("*.safetensors")} | {"": newest.name.encode()}


def drawn(run: Path) -> dict[str, bytes]:
    files = [run / "synthetic_manifest.csv", *(file for file in (run / "synthetic").rglob("*") if file.is_file())]
    return {file.relative_to(run).as_posix(): file.read_bytes() for file in files}


@pytest.mark.parametrize(("size", "by"), [(2, "srun"), (3, "fabric run")])
def test_images_drawn_by_several_processes_are_those_of_one(alone, place, tmp_path, size, by):
    run = small.copied(alone, tmp_path / "run")
    wanted = drawn(run)
    assert len(wanted) == 19
    small.shutil.rmtree(run / "synthetic")
    (run / "synthetic_manifest.csv").unlink()
    outcomes = launch(["synthesize", *words_of(place, run, *STEPS)], size, tmp_path, by=by)
    assert [code for code, _ in outcomes] == [0] * size, outcomes
    assert f"1 of {size} shares" in outcomes[0][1]
    assert drawn(run) == wanted


def test_a_process_that_is_killed_while_it_draws_takes_none_of_the_images_along(alone, place, tmp_path):
    run = small.copied(alone, tmp_path / "run")
    wanted = drawn(run)
    small.shutil.rmtree(run / "synthetic")
    (run / "synthetic_manifest.csv").unlink()
    words = ["synthesize", *words_of(place, run, *STEPS)]
    saved = Accident("meddiff.jobs.generate.synthesize.save", 2)
    (code, said), (killed, _) = launch(words, 2, tmp_path, accident=saved)
    assert (code, killed) == (2, -signal.SIGKILL)
    assert said.splitlines()[-1].startswith("error: process 0 of 2 (counted from 0) waits for one that has ended")
    assert len(drawn_files := list((run / "synthetic").rglob("*.png"))) == 11, drawn_files
    outcomes = launch(words, 2, tmp_path)
    assert [code for code, _ in outcomes] == [0, 0], outcomes
    assert "11 of 18 synthetic images stand already" in outcomes[0][1]
    assert drawn(run) == wanted


def test_a_training_goes_on_where_one_of_its_processes_was_killed(together, place, tmp_path):
    words = ["train", *words_of(place, tmp_path / "run", *TWO)]
    (code, said), (killed, _) = launch(words, 2, tmp_path, accident=Accident(STEP, 3))
    assert (code, killed) == (2, -signal.SIGKILL)
    assert "waits for one that has ended" in said
    assert "Traceback" not in said
    assert checkpoint.latest(tmp_path / "run" / "checkpoints").name == "step_00000002"
    assert [code for code, _ in launch(words, 2, tmp_path)] == [0, 0]
    assert weights(tmp_path / "run") == weights(together)


def test_processes_stop_after_the_same_step_and_the_first_saves_it(together, place, tmp_path):
    words = ["train", *words_of(place, tmp_path / "run", *TWO)]
    outcomes = launch(words, 2, tmp_path, accident=Accident(STEP, 3, signal=signal.SIGTERM))
    assert [code for code, _ in outcomes] == [128 + signal.SIGTERM] * 2, outcomes
    assert "stopped; the same command goes on from here" in outcomes[0][1]
    assert not outcomes[1][1]
    assert checkpoint.latest(tmp_path / "run" / "checkpoints").name == "step_00000003"
    assert [code for code, _ in launch(words, 2, tmp_path)] == [0, 0]
    assert weights(tmp_path / "run") == weights(together)


def test_a_run_goes_on_with_another_number_of_processes_where_a_step_stays_as_large(together, place, tmp_path, capsys):
    run = small.copied(together, tmp_path / "run")
    more = ["--training.steps", "8", "--training.precision", "32", "--preset", "quick"]
    assert train.main(words_of(place, run, *more, "--training.batch_size", "8")) == 0
    assert "going on from step 6" in capsys.readouterr().out
    run = small.copied(together, tmp_path / "smaller")
    assert train.main(words_of(place, run, *more, "--training.batch_size", "4")) == 2
    assert "recipe.training.devices: 2 in the checkpoint, 1 here" in capsys.readouterr().err


def test_another_number_of_processes_than_the_recipe_says_is_refused(place, tmp_path):
    outcomes = launch(["train", *words_of(place, tmp_path / "run", *STEPS)], 2, tmp_path)
    assert [code for code, _ in outcomes] == [2, 2], outcomes
    assert "write --training.devices 2 --training.nodes 1, or start as many" in outcomes[0][1]
    assert not outcomes[1][1]


def test_several_machines_need_a_launcher(place, tmp_path, capsys):
    assert train.main(words_of(place, tmp_path / "run", *STEPS, "--training.nodes", "2")) == 2
    assert "training.nodes is 2: processes on several machines are started by torchrun" in capsys.readouterr().err
