"""A setting that nothing reads is a setting that does nothing: every one is read where a run does its work."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import CodeType, FrameType

import pytest

from meddiff import build
from meddiff.jobs import job
from meddiff.manifest.table import write_manifest
from meddiff.pipelines import augment, evaluate, segment, train, translate
from meddiff.recipe import Recipe, SegmentRecipe, TranslateRecipe, flat
from meddiff.recipe.commands import (
    EvaluateAugmentation,
    EvaluateImages,
    EvaluateMasks,
    Leaderboard,
    OtherImages,
    Predict,
    Published,
    Translation,
)
from meddiff.recipe.segment import PairStudyRecipe
from meddiff.sources import phantom
from tests.pipelines.drawn_volumes import draw

LOOKED_AT_ALONE = ("meddiff.recipe.values", "meddiff.recipe.commands", "dataclasses", "copy", "pickle")
"""Modules that write settings down, compare them and hold them to their ranges, and do nothing by them."""
READ_ELSEWHERE = {
    Recipe: {
        "diffusion.teacher_strides": "where there is a teacher: test_student.py",
        **dict.fromkeys(
            ("data.mask_values", "data.mask_overlap", "data.mask_missing"),
            "by runs that draw masks with their images: test_joint_pairs.py",
        ),
    },
    EvaluateImages: {
        "trust_code": "by the extractor encoder3d: test_volume_extractors.py",
    },
    Predict: {
        "allow_unlike": "where a DICOM SEG of an unlike image is asked for: test_dicom_out.py",
    },
    TranslateRecipe: {
        "license": "by no card yet: a translation has none",
        "training.class_balance": "refused, but for 0: test_translate.py",
    },
    SegmentRecipe: {
        "segment_codes": "by `segment predict --dicom_seg`: test_dicom_out.py",
        **dict.fromkeys(
            [f"study.{entry.name}" for entry in fields(PairStudyRecipe)],
            "by `segment augment`: test_segment_augment.py",
        ),
    },
}
"""Settings that no run below reads, and where they are."""

AUGMENT = """
data: {image_size: 16, phantom_images: 100}
network: {channels: [32, 32], residual_blocks: 1, attention_levels: 1, patch_size: 2}
training: {steps: 2, batch_size: 8, warmup_steps: 1, checkpoint_every: 2, log_every: 2, sample_every: 2}
synthesis: {steps: 2, per_class: 10, batch_size: 16}
filter: {confidence: 0.0, copy_quantile: 0.0}
classifier: {width: 0.125, steps: 2, batch_size: 16, seeds: 1, arms: [real, real_classical, real_synthetic]}
evaluation: {resamples: 100}
"""
SEGMENT = """
data: {image_size: 16, phantom_images: 100}
network: {channels: [8, 16], patch_size: 1}
training: {steps: 2, batch_size: 8, warmup_steps: 1, checkpoint_every: 2, log_every: 2, sample_every: 2}
baseline: {names: [unet], channels: [4, 8]}
inference: {members: 2, steps: 1}
validation: {cases: 2, members: 1}
evaluation: {resamples: 100}
"""
TRANSLATE = """
data: {image_size: 16, phantom_images: 100}
network: {channels: [32, 32], residual_blocks: 1}
training: {steps: 2, batch_size: 8, warmup_steps: 1, checkpoint_every: 2, log_every: 2, sample_every: 2}
translation: {factor: 2}
inference: {members: 2, steps: 1}
evaluation: {resamples: 100}
"""
VOLUMES = ["--dataset", "nifti_folder", "--training.batch_size", "2", "--volume.intensity", "window"]
SLICES = [*VOLUMES, "--dimensions", "2", "--data.slice_axis", "axial", "--data.image_size", "8"]
WHOLE = [*VOLUMES, "--dimensions", "3", "--volume.patch_size", "[8,8,8]"]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return draw(tmp_path_factory.mktemp("volumes") / "study", 8, labels=False)


@contextmanager
def recorded(kind: type) -> Iterator[set[str]]:
    """Full names of the settings of a recipe that are read to do something by them."""
    parts = {type(kind()): ""} | {
        type(value): f"{entry.name}." for entry in fields(kind) if is_dataclass(value := getattr(kind(), entry.name))
    }
    leaves, seen, idle = set(flat(kind())), set(), codes_that_decide_nothing()

    def read(part, name: str):
        full = parts.get(type(part), "no part.") + name
        if full in leaves and full not in seen and does_something(sys._getframe(1), idle):
            seen.add(full)
        return object.__getattribute__(part, name)

    with pytest.MonkeyPatch.context() as patched:
        for part in parts:
            patched.setattr(part, "__getattribute__", read)
        yield seen


@contextmanager
def read_of(kind: type) -> Iterator[set[str]]:
    """Names of the settings of a command that are read to do something by them."""
    seen, own, names = set(), kind.__getattribute__, {entry.name for entry in fields(kind)}

    def read(settings, name: str):
        if name in names - seen and does_something(sys._getframe(1), set()):
            seen.add(name)
        return own(settings, name)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kind, "__getattribute__", read)
        yield seen


def check_command(kind: type, main: Callable, *calls: str) -> None:
    with read_of(kind) as seen:
        for words in calls:
            assert main(words.split()) == 0, words
    unread = {entry.name for entry in fields(kind)} - seen - set(READ_ELSEWHERE.get(kind, {}))
    assert not unread, f"{kind.__name__}: nothing reads {sorted(unread)}"


def does_something(frame: FrameType | None, idle: set[CodeType]) -> bool:
    """Whether no function on the way to this one just writes down, compares, digests or checks."""
    while frame is not None:
        if frame.f_globals.get("__name__") in LOOKED_AT_ALONE or frame.f_code in idle:
            return False
        frame = frame.f_back
    return True


def codes_that_decide_nothing() -> set[CodeType]:
    """The digests of the stages, and the checks of names and contradictions."""
    digests = [stage.inputs for stage in (*job.GENERATE, *job.SEGMENT, *job.TRANSLATE)]
    checks = [build.check_names, Recipe.refuse_contradictions,
              SegmentRecipe.refuse_contradictions, TranslateRecipe.refuse_contradictions]  # fmt: skip
    return {getattr(one, "func", one).__code__ for one in [*digests, *checks]}


def settings_read(kind: type, place: Path, recipe: str, runs: dict[str, tuple[Callable, list[str]]]) -> set[str]:
    (place / "recipe.yaml").write_text(recipe)
    with recorded(kind) as seen:
        for name, (main, words) in runs.items():
            shared = ["--config", str(place / "recipe.yaml"), "--out", str(place / name), f"--data.cache={place}/cache"]
            assert main([*words, *shared]) == 0, name
    return seen


def check_read(kind: type, seen: set[str]) -> None:
    unread, elsewhere = set(flat(kind())) - seen, set(READ_ELSEWHERE[kind])
    assert not unread - elsewhere, f"nothing reads {sorted(unread - elsewhere)}: make them do something, or delete them"
    assert not elsewhere - unread, f"{sorted(elsewhere - unread)} are read here: take them off the list"


def test_a_run_that_generates_reads_all_its_settings(study, tmp_path):
    runs = {
        "pictures": (augment.main, ["--dataset", "isic"]),
        "slices": (train.main, [*SLICES, "--data_root", str(study), "--label", "none", "--network.name", "edm2"]),
        "volumes": (train.main, [*WHOLE, "--data_root", str(study), "--label", "none"]),
    }
    check_read(Recipe, settings_read(Recipe, tmp_path, AUGMENT, runs))
    made = tmp_path / "pictures"
    images = (
        f"images --real {made}/manifest.csv --synthetic {made}/synthetic_manifest.csv --splits 2 --out {tmp_path}/i"
    )
    check_command(EvaluateImages, evaluate.main, f"{images} --train {made}/manifest.csv:train --cache {tmp_path}/cache")
    shutil.copytree(made, tmp_path / "copy")
    check_command(EvaluateAugmentation, evaluate.main, f"augmentation --run {made} --against {tmp_path}/copy")
    check_command(Leaderboard, evaluate.main, f"leaderboard {made} {tmp_path}/copy --out {tmp_path}/leaderboard.csv")
    check_command(Published, evaluate.main, "published --dice 0.9 --iou 0.82")


def test_a_run_that_segments_reads_all_its_settings(study, tmp_path):
    classes = ["--classes", "[background,ball]", "--data_root", str(study)]
    other_network = ["--network.name", "unet", "--network.channels", "[32,32]"]
    runs = {
        "pictures": (segment.main, ["evaluate", "--dataset", "phantom"]),
        "slices": (segment.main, ["train", *SLICES, *classes, *other_network]),
        "volumes": (segment.main, ["train", *WHOLE, *classes]),
    }
    check_read(SegmentRecipe, settings_read(SegmentRecipe, tmp_path, SEGMENT, runs))
    made = tmp_path / "pictures"
    shutil.copytree(made / "phantom", tmp_path / "images", ignore=lambda place, names: names[3:])
    (tmp_path / "images" / "broken.png").write_text("no picture")
    check_command(Predict, segment.main, f"predict --checkpoint {made} --input {tmp_path}/images --output {tmp_path}/p")
    others = phantom.write(phantom.rows("dermoscopy", seed=9, count=4), tmp_path, size=32)
    write_manifest(others, tmp_path / "others.csv", root=tmp_path)
    other = f"test --checkpoint {made} --manifest {tmp_path}/others.csv --out {tmp_path}/t"
    check_command(OtherImages, segment.main, other)
    masks = f"masks --truth {study}/masks --prediction {study}/masks --resamples 100"
    check_command(EvaluateMasks, evaluate.main, f"{masks} --images {study}/images --out {tmp_path}/m")


def test_a_run_that_translates_reads_all_its_settings(study, tmp_path):
    hole, wanted = ["--translation.known", "hole"], ["--translation.known", "sequences", "--translation.wanted", "[1]"]
    runs = {
        "pictures": (translate.main, ["evaluate", "--dataset", "isic"]),
        "holes": (translate.main, ["train", "--dataset", "isic", *hole, "--network.name", "edm2"]),
        "sequences": (translate.main, ["train", "--dataset", "isic", *wanted, "--translation.given", "[0]"]),
        "slices": (translate.main, ["train", *SLICES, "--data_root", str(study)]),
        "volumes": (translate.main, ["train", *WHOLE, "--data_root", str(study)]),
        "masks": (translate.main, ["train", "--dataset", "isic", "--translation.known", "mask"]),
    }
    check_read(TranslateRecipe, settings_read(TranslateRecipe, tmp_path, TRANSLATE, runs))
    image = next((tmp_path / "holes" / "phantom").rglob("*.png"))
    words = f"predict --input {image} --output {tmp_path}"
    check_command(Translation, translate.main, f"{words}/a --checkpoint {tmp_path}/holes --holes {image}",
                  f"{words}/b --checkpoint {tmp_path}/pictures --single")  # fmt: skip
