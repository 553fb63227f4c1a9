"""A run that begins with another run's weights: says what it kept, goes on to the same bit, is refused what is none."""

import contextlib
import io
import shutil

import pytest

from meddiff.pipelines import synthesize, train
from meddiff.training import checkpoint
from tests.pipelines import small


def arguments(workplace, name, *more):
    return small.arguments(workplace, workplace / name, *more)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """Two runs: of red and green pictures, and of green and blue ones that begins with it."""
    place = tmp_path_factory.mktemp("tuned")
    small.draw(place / "first", {"red": 12, "green": 12})
    small.draw(place / "second", {"red": 24, "green": 24, "blue": 24})
    shutil.rmtree(place / "second" / "red")
    assert train.main(arguments(place, "source", "--data_root", place / "first")) == 0
    return place


def tuned(workplace, *more):
    return arguments(workplace, "tuned", "--data_root", workplace / "second", "--diffusion.start_from",
                     workplace / "source", *more)  # fmt: skip


@pytest.fixture(scope="module")
def printed(workplace):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        with contextlib.redirect_stdout(io.StringIO()) as text:
            assert synthesize.main(tuned(workplace)) == 0
    return " ".join(text.getvalue().split())


def test_it_says_what_is_kept_and_what_is_new(workplace, printed):
    assert "kept: class: green" in printed
    assert "new: class: blue" in printed
    assert "there are green, red" in printed
    source = checkpoint.read_latest(workplace / "source" / "checkpoints")
    assert checkpoint.read_latest(workplace / "tuned" / "checkpoints").facts.fine_tuned_from == source.digest


def test_a_stopped_one_goes_on_to_the_same_bit_without_its_source(workplace, printed):
    folder = workplace / "tuned" / "checkpoints"
    last = folder / "step_00000004"
    weights = (last / "ema.safetensors").read_bytes()
    assert (folder / "step_00000002").is_dir()
    shutil.rmtree(last)
    (workplace / "source").rename(workplace / "away")
    try:
        assert train.main(tuned(workplace)) == 0
    finally:
        (workplace / "away").rename(workplace / "source")
    assert (last / "ema.safetensors").read_bytes() == weights


def test_other_weights_to_begin_with_are_another_run(workplace, printed, capsys):
    words = arguments(workplace, "tuned", "--data_root", workplace / "second")
    assert train.main(words) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "recipe.diffusion.start from: " in said
    assert "fine tuned from: " in said


@pytest.mark.parametrize(
    ("start", "more", "sentence"),
    [
        ("nowhere", (), "nowhere"),
        ("source", ("--network.channels", "[32, 64]"), "network.channels"),
        ("source", ("--diffusion.prediction", "eps"), "its weights mean nothing in another network"),
        ("dermoscopy-masks", (), "segment"),
    ],
)
def test_weights_that_mean_something_else_are_refused_before_anything_is_trained(
    workplace, tmp_path, monkeypatch, capsys, start, more, sentence
):
    monkeypatch.chdir(workplace)
    words = ("--data_root", workplace / "second", "--diffusion.start_from", start, *more)
    assert train.main(small.arguments(workplace, tmp_path / "run", *words)) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run" / "checkpoints").exists()
