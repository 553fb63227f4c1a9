"""A command that is refused changes nothing: a finished run stays as it is to the byte, a new folder is not made."""

import shutil
from pathlib import Path

import pytest

from meddiff.pipelines import augment, build_manifest, classify, evaluate, segment, synthesize, train
from tests.pipelines.small import arguments, draw

MASKS = """
dataset: phantom
data: {image_size: 16, fit: stretch, phantom_images: 100}
network: {channels: [8, 16], patch_size: 1}
training: {steps: 2, batch_size: 8, warmup_steps: 1, checkpoint_every: 2, log_every: 2, sample_every: 2}
baseline: {names: [unet], channels: [4, 8]}
inference: {members: 2, steps: 1}
validation: {cases: 2, members: 1}
evaluation: {resamples: 100}
"""


def contents(folder: Path) -> dict[str, bytes]:
    files = [file for file in folder.rglob("*") if file.is_file() and file.name != ".lock"]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("refused")
    draw(folder / "images", {"red": 24, "green": 24, "blue": 24})
    (folder / "masks.yaml").write_text(MASKS)
    return folder


@pytest.fixture(scope="module")
def study(workplace) -> Path:
    """A finished run of augment, on pictures of a user."""
    assert augment.main(arguments(workplace, workplace / "study", "--data-root", workplace / "images")) == 0
    return workplace / "study"


def of_masks(workplace: Path, verb: str, out: Path, *words: str) -> list[str]:
    return [verb, "--config", str(workplace / "masks.yaml"), "--out", str(out), f"--data.cache={workplace}/c", *words]


@pytest.fixture(scope="module")
def masks(workplace) -> Path:
    """A finished run of segment evaluate, on phantoms."""
    assert segment.main(of_masks(workplace, "evaluate", workplace / "masks")) == 0
    return workplace / "masks"


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        (augment, ["--seed", "1"], "belongs to another set-up"),
        (augment, ["--training.steps", "2"], "weights cannot be untrained"),
        (augment, ["--dimensions", "3"], "pictures or slices"),
        (augment, ["--training.stepz", "2"], "nearest"),
        (classify, ["--data.val_fraction", "0.2"], "belongs to another set-up"),
        (synthesize, ["--network.channels", "[64,32]"], "belongs to another set-up"),
        (train, ["--network.channels", "[64,32]"], "belongs to another set-up"),
    ],
)
def test_a_finished_study_stays_as_it_is(workplace, study, capsys, command, words, said):
    before = contents(study)
    assert command.main(arguments(workplace, study, "--data-root", workplace / "images", *words)) == 2
    assert said in capsys.readouterr().err
    assert contents(study) == before


def test_build_manifest_leaves_a_finished_study_as_it_is(workplace, study, capsys):
    before = contents(study)
    assert build_manifest.main(arguments(workplace, study, "--data-root", workplace / "nowhere")) == 2
    assert "nowhere" in capsys.readouterr().err
    assert contents(study) == before


@pytest.mark.parametrize(
    ("verb", "words", "said"),
    [
        ("train", ["--seed", "1"], "belongs to another set-up"),
        ("train", ["--data.phantom_images", "120"], "belongs to another set-up"),
        ("train", ["--dataset", "hippocampus_volumes", "--dimensions", "2"], "whole volumes"),
        ("train", ["--data_root", "/nowhere", "--dataset", "isic"], "/nowhere"),
        ("evaluate", ["--baseline.channels", "[8,8]"], "belongs to another set-up"),
        ("evaluate", ["--classes", "[one]"], "holds the value 1, but there are 1 classes"),
    ],
)
def test_a_finished_segmentation_stays_as_it_is(workplace, masks, capsys, verb, words, said):
    before = contents(masks)
    assert segment.main(of_masks(workplace, verb, masks, *words)) == 2
    assert said in capsys.readouterr().err
    assert contents(masks) == before


def test_work_that_was_done_before_a_refusal_stays(workplace, masks, tmp_path, capsys):
    """The network of masks is trained, then a baseline is refused: what was trained is not thrown away."""
    out = tmp_path / "run"
    assert segment.main(of_masks(workplace, "train", out)) == 0
    shutil.rmtree(out / "models" / "diffusion")
    words = ["--baseline.channels", "[8,8]", "--inference.members", "3"]
    assert segment.main(of_masks(workplace, "train", out, *words)) == 2
    assert "belongs to another set-up" in capsys.readouterr().err
    assert (out / "models" / "diffusion" / "best").is_dir()
    assert "members: 3" in (out / "recipe.yaml").read_text()


@pytest.mark.parametrize("command", [augment, classify, synthesize, train, build_manifest])
def test_a_wrong_path_leaves_no_run_folder(workplace, tmp_path, command):
    out = tmp_path / "not" / "there"
    assert command.main(arguments(workplace, out, "--data-root", tmp_path / "nowhere")) == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("train", ["--data_root", "/nowhere", "--dataset", "isic"]),
        ("train", ["--dataset", "hippocampus_volumes", "--dimensions", "2"]),
        ("evaluate", ["--classes", "[one]"]),
    ],
)
def test_a_segmentation_that_is_refused_leaves_no_run_folder(workplace, tmp_path, verb, words):
    """Also where phantoms were drawn, or the manifest written, before it was."""
    assert segment.main(of_masks(workplace, verb, tmp_path / "not" / "there", *words)) == 2
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_that_was_there_stays(workplace, tmp_path):
    (tmp_path / "run").mkdir()
    assert train.main(arguments(workplace, tmp_path / "run", "--data-root", tmp_path / "nowhere")) == 2
    assert contents(tmp_path / "run") == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--checkpoint", "/nowhere", "--data_root", "{images}"], "is no run folder"),
        (["--checkpoint", "{masks}"], "needs images"),
        (["--checkpoint", "{masks}", "--data_root", "/nowhere"], "/nowhere"),
        (["--checkpoint", "{masks}", "--data_root", "{images}", "--dataset", "image_folder"], "has a mask to judge by"),
    ],
)
def test_segment_test_leaves_results_as_they_are_and_no_new_folder(workplace, masks, tmp_path, capsys, words, said):
    given = [word.format(masks=masks, images=workplace / "images") for word in words]
    assert segment.main(["test", *given, "--out", str(tmp_path / "new")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    before = contents(masks)
    assert segment.main(["test", *given, "--out", str(masks)]) == 2
    assert contents(masks) == before


@pytest.mark.parametrize(
    "words",
    [
        ["masks", "--truth", "{run}/masks", "--prediction", "/nowhere"],
        ["masks", "--truth", "{run}/masks/unet", "--prediction", "{run}/masks/unet", "--names", "a,b"],
        ["images", "--real", "/nowhere", "--synthetic", "/nowhere"],
    ],
)
def test_an_evaluation_that_is_refused_makes_no_folder(masks, tmp_path, words):
    given = [word.format(run=masks) for word in words]
    assert evaluate.main([*given, "--out", str(tmp_path / "a" / "b")]) == 2
    assert list(tmp_path.iterdir()) == []


def test_results_do_not_go_into_the_run_that_is_tested(workplace, masks, capsys):
    before = contents(masks)
    words = ["--checkpoint", str(masks), "--data_root", str(workplace / "images"), "--out", str(masks)]
    assert segment.main(["test", *words]) == 2
    assert "is the run that is tested" in capsys.readouterr().err
    assert contents(masks) == before


def test_a_study_that_cannot_be_evaluated_anew_stays_as_it_is(workplace, study, tmp_path, capsys):
    before = contents(study)
    assert evaluate.main(["augmentation", "--run", str(study), "--against", str(study)]) == 2
    assert evaluate.main(["augmentation", "--run", str(study), "--against", str(tmp_path)]) == 2
    (workplace / "images").rename(workplace / "elsewhere")
    try:
        assert evaluate.main(["augmentation", "--run", str(study)]) == 2
    finally:
        (workplace / "elsewhere").rename(workplace / "images")
    assert contents(study) == before


def of_no_segmentation(study: Path, workplace: Path) -> dict[str, Path]:
    return {
        "draws images and segments none": study,
        f"and lies in the run folder {study}": study / "checkpoints",
        "it is a file (.csv)": study / "manifest.csv",
        "it is a file (.jpg)": next((workplace / "images").rglob("*.jpg")),
        "it has no recipe.yaml": workplace / "images",
        "there is no such file or folder": workplace / "nowhere",
    }


def test_what_is_no_segmentation_run_is_called_what_it_is(workplace, study, tmp_path, capsys):
    (weights,) = (study / "checkpoints").glob("step_00000004")
    places = of_no_segmentation(study, workplace)
    for verb, images in (("predict", "--input"), ("test", "--data_root")):
        of_weights = [("draws images and segments none", weights)] if verb == "predict" else []
        for said, place in [*places.items(), *of_weights]:
            words = ["--checkpoint", str(place), images, str(workplace / "images"), "--out", str(tmp_path / "out")]
            more = ["--members", "2"] if verb == "predict" else []
            assert segment.main([verb, *words, *more]) == 2
            error = capsys.readouterr().err
            assert said in error
            assert "`segment train` or `segment evaluate`" in error
            assert list(tmp_path.iterdir()) == []


def test_what_is_no_study_is_called_what_it_is(workplace, masks, capsys):
    places = {
        "segments images and draws none": masks,
        f"and lies in the run folder {masks}": masks / "models",
        "it is a file (.csv)": masks / "cases.csv",
        "it has no recipe.yaml": workplace / "images",
        "there is no such file or folder": workplace / "nowhere",
    }
    for said, place in places.items():
        for words in (["augmentation", "--run", str(place)], ["leaderboard", str(place)]):
            assert evaluate.main(words) == 2
            error = capsys.readouterr().err
            assert said in error
            assert "`train` or `augment`" in error


@pytest.mark.parametrize("command", [augment, classify, synthesize, train, build_manifest])
def test_a_run_of_the_other_kind_is_no_place_to_go_on(workplace, study, masks, capsys, command):
    before = contents(masks)
    assert command.main(arguments(workplace, masks, "--data-root", workplace / "images")) == 2
    assert f"the run in {masks} segments images and draws none: name another folder" in capsys.readouterr().err
    assert contents(masks) == before
    before = contents(study)
    assert segment.main(of_masks(workplace, "train", study)) == 2
    assert f"the run in {study} draws images and segments none: name another folder" in capsys.readouterr().err
    assert contents(study) == before


@pytest.mark.parametrize(
    ("option", "said"), [("--synthetic", "synthetic_manifest.csv"), ("--real", "manifest.csv:test"),
                         ("--train", "manifest.csv:test")],
)  # fmt: skip
def test_a_run_folder_is_no_set_of_images(workplace, study, tmp_path, capsys, option, said):
    given = {"--real": f"{workplace}/images/red", "--synthetic": f"{workplace}/images/green", option: str(study)}
    words = [word for pair in given.items() for word in pair]
    assert evaluate.main(["images", *words, "--out", str(tmp_path / "out")]) == 2
    assert f"{option} {study} is a run folder, with images of all kinds: name its {said}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "images", "--real", "{images}/red", "--synthetic", "{images}/green"],
        ["evaluate", "masks", "--truth", "{masks}/masks/unet", "--prediction", "{masks}/masks/diffusion"],
        ["segment", "test", "--checkpoint", "{masks}", "--data_root", "{images}"],
    ],
)
def test_no_other_results_go_into_a_run_folder(workplace, study, masks, capsys, words):
    command = {"evaluate": evaluate, "segment": segment}[words[0]]
    given = [word.format(images=workplace / "images", masks=masks) for word in words[1:]]
    before = contents(study)
    assert command.main([*given, "--out", str(study)]) == 2
    assert "is the folder of a run: results would mix with it" in capsys.readouterr().err
    assert contents(study) == before
