"""Recipes: every setting documented, compared by name, refused outside its range; every recipe file is a recipe."""

import ast
import inspect
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest
import yaml

from meddiff import recipe as recipes
from meddiff import segment_recipe
from meddiff.errors import InputError
from meddiff.recipe import Recipe, check, differences, flat, from_dict, to_dict
from meddiff.segment_recipe import SegmentRecipe

FILES = sorted((Path(__file__).parents[1] / "pipelines").rglob("*.yaml"))


@pytest.mark.parametrize("module", [recipes, segment_recipe])
def test_every_setting_has_a_sentence(module):
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            statements = node.body[1:]
            for setting, sentence in zip(statements[::2], statements[1::2], strict=False):
                if isinstance(setting, ast.AnnAssign) and not ast.unparse(setting.annotation).endswith("Recipe"):
                    assert isinstance(sentence, ast.Expr), f"{node.name}.{ast.unparse(setting.target)} has no sentence"
                    assert ast.literal_eval(sentence.value).endswith(".")


def test_a_recipe_survives_yaml():
    recipe = Recipe(dataset="phantom", network=recipes.NetworkRecipe(channels=(32, 64)))
    assert yaml.safe_load(yaml.safe_dump(to_dict(recipe)))["network"]["channels"] == [32, 64]


def test_a_recipe_is_made_again_from_its_yaml():
    default = SegmentRecipe()
    recipe = replace(default, classes=("a", "b"), network=replace(default.network, channels=(32, 64)))
    assert from_dict(SegmentRecipe, yaml.safe_load(yaml.safe_dump(to_dict(recipe)))) == recipe
    with pytest.raises(InputError, match="unknown settings invented"):
        from_dict(SegmentRecipe, {"invented": 1})


def test_differences_name_the_setting_and_both_values():
    other = replace(Recipe(), training=replace(Recipe().training, steps=7))
    assert differences(other, Recipe()) == {"training.steps": (Recipe().training.steps, 7)}
    assert differences(Recipe(), Recipe()) == {}


@pytest.mark.parametrize(
    ("section", "change", "said"),
    [
        ("training", {"steps": 0}, "training.steps is 0"),
        ("diffusion", {"condition_dropout": 1.5}, "diffusion.condition_dropout is 1.5"),
        ("data", {"train_fraction": 0.9, "val_fraction": 0.1}, "leave nothing for the test split"),
    ],
)
def test_a_setting_outside_its_range_is_refused(section, change, said):
    recipe = Recipe()
    with pytest.raises(InputError, match=said):
        check(replace(recipe, **{section: replace(getattr(recipe, section), **change)}))


def test_ranges_are_of_real_settings_and_hold_the_defaults():
    named = " ".join(recipes._RANGES.values()).split()
    assert len(named) == len(set(named))
    assert set(named) <= set(flat(Recipe()))
    numbers = {name for name, value in flat(Recipe()).items() if type(value) in (int, float)}
    assert numbers <= set(named), "a number without a range"
    check(Recipe())
    beside = " ".join(segment_recipe._RANGES.values()).split()
    assert len(beside) == len(set(beside))
    assert not set(beside) & set(named)
    numbers = {name for name, value in flat(SegmentRecipe()).items() if type(value) in (int, float)}
    assert numbers <= {*named, *beside}, "a number without a range"
    segment_recipe.check(SegmentRecipe())


def test_a_segmentation_setting_outside_its_range_is_refused():
    default = SegmentRecipe()
    with pytest.raises(InputError, match=r"inference\.members is 0; allowed is 1 to"):
        segment_recipe.check(replace(default, inference=replace(default.inference, members=0)))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recipe_file_names_real_settings_only(file):
    content = yaml.safe_load(file.read_text())
    known = flat(SegmentRecipe() if "segment" in file.parts else Recipe())
    for name, value in content.items():
        names = [f"{name}.{key}" for key in value] if isinstance(value, dict) else [name]
        assert set(names) <= set(known)


def test_sections_are_dataclasses_all_the_way():
    sections = [entry for entry in fields(Recipe) if is_dataclass(getattr(Recipe(), entry.name))]
    assert {entry.name for entry in sections} >= {"data", "network", "diffusion", "training", "synthesis", "classifier"}
