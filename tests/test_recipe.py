"""Recipes: every setting documented, compared by name, refused outside its range; every recipe file is a recipe."""

import ast
import inspect
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest
import yaml

from meddiff import command_line
from meddiff.errors import InputError
from meddiff.jobs.job import as_it_was_begun
from meddiff.recipe import (
    AutoencodeRecipe,
    NetworkRecipe,
    Recipe,
    SegmentRecipe,
    TranslateRecipe,
    autoencode,
    check,
    commands,
    differences,
    exports,
    flat,
    from_dict,
    generate,
    parts,
    segment,
    to_dict,
    translate,
)
from meddiff.recipe.values import hints, limits
from meddiff.run import RunFolder

FILES = sorted((Path(__file__).parents[1] / "pipelines").rglob("*.yaml"))


@pytest.mark.parametrize("module", [parts, generate, segment, translate, autoencode, commands, exports])
def test_every_setting_has_a_sentence(module):
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            for setting, sentence in zip(node.body[1:], [*node.body[2:], None], strict=False):
                if isinstance(setting, ast.AnnAssign) and not ast.unparse(setting.annotation).endswith("Recipe"):
                    assert isinstance(sentence, ast.Expr), f"{node.name}.{ast.unparse(setting.target)} has no sentence"
                    assert ast.literal_eval(sentence.value).endswith(".")


def test_a_recipe_survives_yaml():
    recipe = Recipe(dataset="phantom", network=NetworkRecipe(channels=(32, 64)))
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


@pytest.mark.parametrize("kind", [Recipe, SegmentRecipe, TranslateRecipe, AutoencodeRecipe])
def test_every_number_has_a_range_that_holds_its_default(kind):
    numbers = {name for name, value in flat(kind()).items() if type(value) in (int, float)}
    assert len(numbers) > 20
    assert not {name for name in numbers if limits(kind)[name] == (None, ())}, "a number without a range"
    check(kind())


@pytest.mark.parametrize("kind", [Recipe, SegmentRecipe, TranslateRecipe])
def test_both_ends_of_every_range_are_allowed_and_what_is_beyond_is_refused(kind):
    ranges = {name: allowed for name, (allowed, _) in limits(kind).items() if allowed is not None}
    for name, allowed in ranges.items():
        if name not in ("data.train_fraction", "data.val_fraction", "data.neighbors"):  # of which others are a part
            check(changed(kind(), name, allowed.low))
            check(changed(kind(), name, allowed.high))
        for beyond in (allowed.low - 1, allowed.high + 1):
            with pytest.raises(InputError) as refused:
                check(changed(kind(), name, beyond))
            assert str(refused.value) == f"{name} is {beyond}; allowed is {allowed.low} to {allowed.high}"


@pytest.mark.parametrize(
    ("kind", "name", "value", "said"),
    [
        (Recipe, "data.fit", "squash", "data.fit is 'squash'; allowed is 'crop', 'pad', 'stretch'"),
        (SegmentRecipe, "inference.fusion", "median", "inference.fusion is 'median'; allowed is 'mean'"),
        (Recipe, "training.steps", "many", "training.steps is many; allowed is 1"),
    ],
)
def test_a_value_that_is_no_choice_is_refused(kind, name, value, said):
    with pytest.raises(InputError, match=said):
        check(changed(kind(), name, value))


def changed(recipe, name, value):
    part, _, setting = name.rpartition(".")
    if not part:
        return replace(recipe, **{setting: value})
    return replace(recipe, **{part: replace(getattr(recipe, part), **{setting: value})})


def test_a_segmentation_setting_outside_its_range_is_refused():
    default = SegmentRecipe()
    with pytest.raises(InputError, match=r"inference\.members is 0; allowed is 1 to"):
        check(replace(default, inference=replace(default.inference, members=0)))


@pytest.mark.parametrize("kind", [Recipe, SegmentRecipe])
def test_a_recipe_of_a_former_version_is_read_without_what_never_did_anything(kind, caplog):
    former = to_dict(kind())
    for name in kind.IDLE:
        part, _, setting = name.partition(".")
        former[part][setting] = 0.1
    assert from_dict(kind, former) == kind()
    for name in kind.IDLE:
        assert name not in hints(kind)
        assert name in caplog.text
    assert "never did anything" in caplog.text


def test_what_only_the_other_kind_of_run_has_is_still_unknown():
    with pytest.raises(InputError, match="unknown settings guidance"):
        from_dict(SegmentRecipe, {"diffusion": {"guidance": 2.0}})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_recipe_file_names_real_settings_only(file):
    content = yaml.safe_load(file.read_text())
    families = [one for one in vars(command_line).values() if isinstance(one, command_line.Family)]
    above = file.relative_to(command_line.recipes_folder()).parts
    known = flat(next((one.kind for one in families if one.datasets in above), Recipe)())
    for name, value in content.items():
        names = [f"{name}.{key}" for key in value] if isinstance(value, dict) else [name]
        assert set(names) <= set(known)


def test_sections_are_dataclasses_all_the_way():
    sections = [entry for entry in fields(Recipe) if is_dataclass(getattr(Recipe(), entry.name))]
    assert {entry.name for entry in sections} >= {"data", "network", "diffusion", "training", "synthesis", "classifier"}


@pytest.mark.parametrize("kind", [Recipe, SegmentRecipe, TranslateRecipe])
def test_a_run_of_a_former_version_keeps_seeing_slices_as_it_was_trained_on_them(kind, tmp_path):
    former = to_dict(kind())
    assert former["data"].pop("slices") == "upright"
    assert from_dict(kind, former).data.slices == "array"
    folder = RunFolder(tmp_path)
    assert as_it_was_begun(kind(), folder).data.slices == "upright", "a run that begins today"
    folder.recipe.write_text(yaml.safe_dump(former))
    assert as_it_was_begun(kind(), folder).data.slices == "array", "one that goes on"
    folder.recipe.write_text(yaml.safe_dump(to_dict(kind())))
    assert as_it_was_begun(kind(), folder).data.slices == "upright"
    folder.recipe.write_text("{broken")
    assert as_it_was_begun(kind(), folder) == kind()
