"""One policy of augmentation per kind of image, asked by all that trains."""

import math
from dataclasses import replace
from io import StringIO

import pytest
import torch
import yaml
from rich.console import Console

from meddiff import build
from meddiff.batches.batch import Batch
from meddiff.batches.turns import UPRIGHT, draw_color, draw_view
from meddiff.errors import InputError
from meddiff.jobs.job import as_it_was_begun, recipe_table, with_its_policy
from meddiff.jobs.weights import augmentation_of, training_settings
from meddiff.manifest.table import write_manifest
from meddiff.recipe import DetectRecipe, Recipe, SegmentRecipe, TranslateRecipe, to_dict
from meddiff.run import RunFolder
from tests.manifest.rows import example_row

KINDS = (Recipe, SegmentRecipe, TranslateRecipe, DetectRecipe)


def asking(recipe, policy):
    return replace(recipe, training=replace(recipe.training, augment=policy))


def changed(augment, images):
    return images if augment is None else augment(
        Batch(images, None, None, torch.arange(len(images))), torch.Generator().manual_seed(0)
    ).image  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("dataset", "policy"),
    [("isic", "square"), ("phantom", "square"), ("brain_tumor", "mirror"), ("lgg", "mirror"),
     ("hippocampus", "upright"), ("image_folder", "upright")],
)  # fmt: skip
def test_the_policy_of_pictures_is_that_of_their_data_set(kind, dataset, policy):
    recipe = with_its_policy(replace(kind(), dataset=dataset, dimensions=2))
    assert recipe.training.augment == policy
    assert build.augmentation(recipe) == build.augmentation(asking(recipe, "auto")), "whoever asks before a run begins"


@pytest.mark.parametrize("policy", build.POLICIES)
def test_a_policy_that_is_asked_for_is_obeyed(policy):
    assert build.policy_of(asking(Recipe(dataset="brain_tumor"), policy), {"dermoscopy"}) == policy


def test_every_source_has_a_policy_that_there_is():
    assert {source.augment for source in build.SOURCES.values()} <= set(build.POLICIES)


@pytest.mark.parametrize(
    ("modality", "policy"),
    [("dermoscopy", "square"), ("SM", "square"), ("XC", "square"), ("histology", "square"), ("Microscopy", "square"),
     ("MR", "upright"), ("CT", "upright"), ("DX", "upright"), ("CR", "upright"), ("US", "upright"), ("OP", "upright"),
     ("MG", "upright"), ("something else", "upright"), (None, "upright")],
)  # fmt: skip
def test_a_manifest_says_what_its_images_show(modality, policy, tmp_path):
    write_manifest([example_row("a", root=tmp_path, modality=modality)], tmp_path / "own.csv")
    recipe = Recipe(dataset="image_folder", manifest=str(tmp_path / "own.csv"))
    assert with_its_policy(recipe).training.augment == policy


def test_one_kind_that_stands_upright_is_enough(tmp_path):
    rows = [example_row(name, root=tmp_path, modality=name) for name in ("SM", "MR")]
    write_manifest(rows, tmp_path / "own.csv")
    assert with_its_policy(Recipe(manifest=str(tmp_path / "own.csv"))).training.augment == "upright"


def test_a_manifest_that_cannot_be_read_is_left_to_its_reader(tmp_path):
    (tmp_path / "own.csv").write_bytes(b"modality\n\xff\xfe\x00")
    assert build.modalities_in(str(tmp_path / "own.csv")) == set()
    assert build.modalities_in(str(tmp_path / "none.csv")) == set()


def test_the_printed_recipe_and_the_run_say_the_policy():
    shown = Console(file=StringIO(), width=200)
    shown.print(recipe_table(with_its_policy(Recipe(dataset="brain_tumor"))))
    assert 'training.augment │ "auto"  │ "mirror"' in shown.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(("dataset", "before"), [("brain_tumor", "square"), ("hippocampus_volumes", "none")])
def test_a_run_that_was_begun_goes_on_as_it_was_begun(dataset, before, tmp_path):
    recipe = replace(SegmentRecipe(), dataset=dataset, dimensions=3 if dataset == "hippocampus_volumes" else 2)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(to_dict(recipe)))
    assert as_it_was_begun(recipe, RunFolder(tmp_path)).training.augment == before
    assert as_it_was_begun(asking(recipe, "mirror"), RunFolder(tmp_path)).training.augment == "mirror"


@pytest.mark.parametrize("kind", KINDS)
def test_what_draws_images_blurs_none_of_its_training_images(kind):
    recipe = asking(replace(kind(), dimensions=2), "upright")
    images = torch.rand(8, 1, 16, 16) * 2 - 1
    same = torch.equal(changed(build.augmentation(recipe), images), images)
    assert same == (kind is not SegmentRecipe)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_small_changes_keep_the_side_that_is_up(dimensions):
    recipe = asking(SegmentRecipe(dimensions=dimensions), "upright")
    images = torch.full((64, 1, *[24] * dimensions), -0.5)
    images[:, :, :8] = 0.5
    seen = changed(build.augmentation(recipe), images)
    assert not torch.equal(seen, images)
    middle = seen[:, :, :, 8:16].flatten(3).mean(3)[:, 0]  # [N, rows]
    assert (middle[:, 5] > middle[:, -6] + 0.2).all()


def test_small_changes_stay_small():
    view, color = draw_view(2000, torch.Generator(), UPRIGHT), draw_color(2000, torch.Generator(), UPRIGHT)
    assert math.degrees(view.angle.abs().max()) == pytest.approx(15, abs=0.1)
    assert (view.side**2).max() == pytest.approx(1.3, abs=0.01)
    assert (color.saturation == 1).all(), "three channels may be three sequences"
    assert (color.hue == 0).all()


@pytest.mark.parametrize("policy", build.POLICIES)
def test_the_judge_turns_images_as_the_generator_does(policy):
    recipe = asking(Recipe(), policy)
    assert augmentation_of(recipe, build.arm("real_balanced_flips"), "none") == build.augmentation(recipe)


@pytest.mark.parametrize("name", build.CLASSICAL)
def test_an_arm_is_augmented_by_name(name):
    assert augmentation_of(Recipe(), build.arm("real_classical"), name) is build.CLASSICAL[name]


@pytest.mark.parametrize("policy", build.POLICIES)
def test_a_study_chooses_among_all_policies_and_among_strengths_where_no_side_is_up(policy):
    choices = build.classical_choices(asking(Recipe(), policy))
    assert set(build.POLICIES) <= set(choices) <= set(build.CLASSICAL)
    assert ({"mild", "medium", "strong"} <= set(choices)) == (policy == "square")


def test_classifiers_of_another_policy_are_trained_anew():
    assert len({str(training_settings(asking(Recipe(), policy))) for policy in build.POLICIES}) == len(build.POLICIES)


def test_slices_of_the_side_have_no_mirror():
    recipe = SegmentRecipe()
    sagittal = replace(asking(recipe, "mirror"), data=replace(recipe.data, slice_axis="sagittal"))
    with pytest.raises(InputError, match="a sagittal slice has neither"):
        build.augmentation(sagittal)
