"""A run that learns to draw in two calls what another run draws in many."""

import shutil

import pytest

import meddiff
from meddiff.errors import InputError
from meddiff.pipelines import synthesize, train
from meddiff.training import checkpoint
from tests.pipelines import small

AS_A_STUDENT = ("--synthesis.sampler", "ddim", "--synthesis.guidance", "1", "--synthesis.steps", "2")


def arguments(workplace, name, *more):
    return small.arguments(workplace, workplace / name, "--data_root", workplace / "photos", *more)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    place = tmp_path_factory.mktemp("student")
    small.draw(place / "photos", {"red": 24, "green": 24})
    assert train.main(arguments(place, "teacher", "--synthesis.steps", "8", "--synthesis.guidance", "2")) == 0
    return place


def student(workplace, *more):
    words = ("--diffusion.teacher", workplace / "teacher", "--diffusion.teacher_strides", "3", *AS_A_STUDENT, *more)
    return arguments(workplace, "student", *words)


@pytest.fixture(scope="module")
def run(workplace):
    assert synthesize.main(student(workplace)) == 0
    return workplace / "student"


def test_it_begins_with_its_teacher_and_goes_on_to_the_same_bit(run, workplace):
    last = run / "checkpoints" / "step_00000004"
    weights = (last / "ema.safetensors").read_bytes()
    teacher = checkpoint.read_latest(workplace / "teacher" / "checkpoints")
    assert checkpoint.read(last).facts.fine_tuned_from == teacher.digest
    shutil.rmtree(last)
    assert train.main(student(workplace)) == 0
    assert (last / "ema.safetensors").read_bytes() == weights
    assert weights != (teacher.path / "ema.safetensors").read_bytes()


def test_it_draws_in_the_calls_that_it_has_learned_and_no_others(run, workplace, capsys):
    model = meddiff.load(run)
    calls = []
    model.denoiser.network.register_forward_hook(lambda *_: calls.append(1))
    model("red", seed=1)
    assert len(calls) == 2
    with pytest.raises(InputError, match="student steps: 2 in the checkpoint, 4 here"):
        meddiff.load(run, steps=4)
    assert synthesize.main(student(workplace, "--synthesis.steps", "4")) == 2
    assert "student steps: 2 in the checkpoint, 4 here" in " ".join(capsys.readouterr().err.split())


def test_without_its_teacher_or_with_another_it_does_not_go_on(run, workplace, tmp_path, capsys):
    copy = small.copied(run, tmp_path / "student")
    shutil.rmtree(copy / "checkpoints" / "step_00000004")
    teacher, away = workplace / "teacher", workplace / "away"
    words = [*student(workplace), "--out", str(copy)]
    teacher.rename(away)
    try:
        assert train.main(words) == 2
        assert "teacher" in capsys.readouterr().err
        assert train.main(arguments(workplace, "teacher", "--seed", "5", "--synthesis.steps", "8")) == 0
        capsys.readouterr()
        assert train.main(words) == 2
        assert "has other weights than when this training began" in " ".join(capsys.readouterr().err.split())
    finally:
        shutil.rmtree(teacher, ignore_errors=True)
        away.rename(teacher)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--synthesis.guidance", "2"), "add --synthesis.sampler ddim --synthesis.guidance 1"),
        (("--diffusion.self_condition", "true"), "leave out synthesis.classifier_guidance"),
        (("--diffusion.teacher", "nowhere"), "nowhere"),
        (("--network.channels", "[32, 64]"), "diffusion.teacher"),
        (("--label", "none"), "learns the classes and attributes of its teacher"),
    ],
)
def test_what_cannot_be_taught_is_refused_before_anything_is_trained(workplace, tmp_path, capsys, more, sentence):
    assert train.main([*student(workplace, *more), "--out", str(tmp_path / "run")]) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run" / "checkpoints").exists()
