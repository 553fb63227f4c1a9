"""The command line teaches, is quick, and answers a mistake with one sentence."""

import subprocess
import sys
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

import pytest
import yaml

from meddiff import command_line
from meddiff.command_line import (
    AUGMENT,
    SEGMENT,
    answer,
    do_recipe,
    parse_recipe,
    parse_settings,
    recipes_folder,
)
from meddiff.errors import InputError
from meddiff.formats.dicom.codes import segments_of
from meddiff.recipe import Recipe, SegmentRecipe, commands, flat
from meddiff.recipe.commands import EvaluateImages, EvaluateMasks
from meddiff.recipe.values import hints

COMMANDS = ("build_manifest", "train", "synthesize", "classify", "augment")
VERBS = {
    "segment": ("", "train", "evaluate", "test", "predict"),
    "evaluate": ("", "images", "masks", "augmentation", "leaderboard", "published"),
    "inspect": ("",),
    "download": ("",),
}
HEAVY = {"torch", "monai", "matplotlib", "sklearn", "scipy", "pandas"}


def parse(*argv: str):
    return parse_recipe("augment", "", argv, AUGMENT)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_without_importing_torch(command):
    shown = help_of(command)
    assert f"python -m meddiff.pipelines.{command} --dataset" in shown
    assert "--training.steps" in shown
    assert "Optimizer steps." in shown
    assert "HEAVY set()" in shown


@pytest.mark.parametrize(("command", "verb"), [(command, verb) for command in VERBS for verb in VERBS[command]])
def test_help_of_every_verb_does_not_import_torch_either(command, verb):
    """jsonargparse imports what stands under TYPE_CHECKING in a module whose settings it lists."""
    shown = help_of(command, verb)
    assert f"python -m meddiff.pipelines.{command} {verb}".strip() in shown
    assert "HEAVY set()" in shown


def help_of(command: str, verb: str = "") -> str:
    """What --help prints, and which heavy packages were imported for it."""
    code = (
        f"import sys, meddiff.pipelines.{command} as c\n"
        f"try: c.main({[*([verb] if verb else []), '--help']})\n"
        "except SystemExit: pass\n"
        f"print('HEAVY', {HEAVY} & set(sys.modules))"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_flags_override_the_preset_which_overrides_the_defaults():
    recipe = parse("--preset", "quick", "--training.steps=7", "--network.channels", "[32, 64]")
    assert recipe.training.steps == 7
    assert recipe.network.channels == (32, 64)
    assert recipe.data.image_size == 32
    assert parse("--preset=standard").data.image_size == 64


def test_dashes_and_underscores_are_one():
    assert parse("--data-root", "/tmp/a-b").data_root == "/tmp/a-b"
    assert parse("--data_root=/tmp/a-b").data_root == "/tmp/a-b"


def settings(kind, *argv: str):
    return parse_settings(kind, "command", "", "", argv)


PREDICT = ("--checkpoint", "run", "--input", "in")


@pytest.mark.parametrize("flag", ["--dicom_seg", "--dicom-seg"])
def test_a_switch_needs_no_word_and_takes_one(flag):
    assert settings(commands.Predict, *PREDICT, "--output", "o", flag).dicom_seg is True
    assert settings(commands.Predict, *PREDICT, flag, "--output", "o").dicom_seg is True
    for word, value in {"true": True, "false": False, "True": True, "no": False}.items():
        assert settings(commands.Predict, *PREDICT, "--output", "o", flag, word).dicom_seg is value
        assert settings(commands.Predict, *PREDICT, "--output", "o", f"{flag}={word}").dicom_seg is value
    assert parse("--training.compile", "--seed", "3").training.compile is True
    assert parse("--training.compile", "null", "--seed", "3").training.compile is None
    assert parse("--training.compile=false").training.compile is False
    assert parse().training.compile is None


@pytest.mark.parametrize("flag", ["--out", "--output"])
def test_out_and_output_are_one(flag):
    assert settings(commands.Predict, *PREDICT, flag, "there").output == "there"
    assert settings(commands.EvaluateMasks, "--truth", "a", "--prediction", "b", f"{flag}=there").out == "there"
    assert parse(flag, "there").out == "there"


KINDS = [Recipe, SegmentRecipe]
KINDS += [kind for kind in vars(commands).values() if isinstance(kind, type) and is_dataclass(kind)]
KINDS.remove(commands.Evaluation)  # what two of them share
"""Everything that a command can be told."""


def required_words(kind) -> list[str]:
    """Settings that a command cannot do without, with values that are right."""
    numbers = {"dice": "0.9", "iou": "0.82"}
    needed = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
    return [f"--{name}={numbers.get(name, 'value')}" for name in needed if name != getattr(kind, "POSITIONAL", None)]


def given(kind, *argv: str):
    words = [*required_words(kind), *argv]
    if kind in (Recipe, SegmentRecipe):
        return parse_recipe("command", "", words, AUGMENT if kind is Recipe else SEGMENT)
    return settings(kind, *words, *(["place"] if hasattr(kind, "POSITIONAL") else []))


SWITCHES = [(kind, name) for kind in KINDS for name, hint in hints(kind).items() if hint is bool]


@pytest.mark.parametrize(("kind", "name"), SWITCHES, ids=lambda one: getattr(one, "__name__", one))
def test_every_switch_of_every_command_needs_no_word_and_takes_one(kind, name):
    for flag in {name, name.replace("_", "-")}:
        assert flat(given(kind, f"--{flag}"))[name] is True
        for word, value in {"true": True, "false": False, "True": True, "FALSE": False}.items():
            assert flat(given(kind, f"--{flag}", word))[name] is value
            assert flat(given(kind, f"--{flag}={word}"))[name] is value


def test_there_are_switches_of_both_kinds_of_commands():
    assert {Recipe, SegmentRecipe, commands.Predict, commands.Inspect} <= {kind for kind, _ in SWITCHES}


def test_a_folder_called_no_is_no_answer():
    looked = settings(commands.Inspect, "--audit", "no")
    assert (looked.audit, looked.path) == (True, "no")
    assert settings(commands.Inspect, "--audit", "true", "no").path == "no"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if {"out", "output"} & set(hints(kind))])
@pytest.mark.parametrize("flag", ["--out", "--output", "--out=", "--output="])
def test_out_and_output_are_one_in_every_command(kind, flag):
    own = "out" if "out" in hints(kind) else "output"
    more = ["--audit"] if kind is commands.Inspect else []
    words = [f"{flag}there"] if flag.endswith("=") else [flag, "there"]
    assert flat(given(kind, *more, *words))[own] == "there"


@pytest.mark.parametrize("line", ["out: there", "output: there"])
def test_a_recipe_file_calls_the_folder_as_a_flag_does(tmp_path, line):
    (tmp_path / "mine.yaml").write_text(f"{line}\ndata-root: here\n")
    recipe = parse("--config", str(tmp_path / "mine.yaml"))
    assert (recipe.out, recipe.data_root) == ("there", "here")


def test_words_without_a_flag_are_what_a_command_is_about():
    assert settings(commands.Leaderboard, "a", "--out", "t.csv", "b c").runs == ("a", "b c")
    assert settings(commands.Inspect, "--audit", "study").path == "study"
    for kind, words in ((commands.Inspect, ["a", "b"]), (commands.Predict, ["a"])):
        with pytest.raises(InputError, match="belongs to no setting"):
            settings(kind, *words)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--prediction", "b"], "^settings that are required: truth;"),
        ([], "^settings that are required: truth, prediction;"),
        (["--truth", "--prediction"], "^--truth needs a value behind it"),
        (["--truth", "a", "--predictions", "b"], "unknown setting 'predictions'.*nearest is 'prediction'"),
        (["--truth", "a", "--prediction", "b", "--resamples", "3"], "resamples is 3; allowed is 100 to"),
        (["--truth", "a", "--prediction", "b", "--on-missing", "guess"], "expected one of 'fail', 'skip'"),
    ],
)
def test_the_same_mistakes_are_told_the_same_way_by_commands_without_a_recipe(argv, said):
    with pytest.raises(InputError, match=f"(?s){said}"):
        settings(commands.EvaluateMasks, *argv)


def test_values_that_look_like_flags_or_yaml_stay_what_they_are():
    assert settings(commands.Predict, *PREDICT, "--output", "-4", "--series", "1.2.840").series == "1.2.840"
    assert parse("--out", "2024-01-01").out == "2024-01-01"
    assert parse("--out=null").out == "null"


def test_flags_win_over_the_file_wherever_they_stand(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("training: {steps: 7, learning_rate: 2e-4}\nlabel: none\nout: 7\ndata: {slice_axis: null}")
    recipe = parse("--training.steps", "9", "--config", str(file))
    assert (recipe.training.steps, recipe.training.learning_rate, recipe.label, recipe.out) == (9, 2e-4, "none", "7")


@pytest.mark.parametrize("family", [AUGMENT, SEGMENT])
def test_a_recipe_of_a_former_version_is_read_and_a_flag_of_it_refused(family, tmp_path, caplog):
    for name in family.kind.IDLE:
        part, _, setting = name.partition(".")
        (tmp_path / "former.yaml").write_text(f"{part}: {{{setting}: 0}}\nseed: 4")
        assert parse_recipe("c", "", ["--config", str(tmp_path / "former.yaml")], family).seed == 4
        assert f"{name}, which never did anything" in caplog.text
        with pytest.raises(InputError, match=rf"unknown setting '{name}' in the command line; .*leave it out"):
            parse_recipe("c", "", [f"--{name}", "0"], family)


@pytest.mark.parametrize("file", sorted(recipes_folder().rglob("*.yaml")), ids=lambda file: file.stem)
def test_every_recipe_file_is_a_recipe(file):
    """Also those that stand behind a preset or a data set: as defaults, their values are not looked at."""
    families = [one for one in vars(command_line).values() if isinstance(one, command_line.Family)]
    folders = file.relative_to(recipes_folder()).parts
    family = next((one for one in families if one.datasets in folders), AUGMENT)
    recipe = parse_recipe("c", "", ["--config", str(file), "--preset", "quick"], family)
    part, content = flat(recipe), yaml.safe_load(file.read_text())
    for name, value in content.items():
        for key, one in value.items() if isinstance(value, dict) else [("", value)]:
            read = part[f"{name}.{key}".rstrip(".")]
            assert (list(read) if isinstance(read, tuple) else read) == one


def test_without_data_the_preset_is_quick():
    assert parse().preset == "quick"


def test_a_printed_recipe_can_be_read_back(tmp_path, capsys):
    with pytest.raises(SystemExit):
        parse("--preset", "quick", "--training.steps", "7", "--print_config")
    file = tmp_path / "mine.yaml"
    file.write_text(capsys.readouterr().out)
    assert yaml.safe_load(file.read_text())["training"]["steps"] == 7
    assert parse("--config", str(file)).training.steps == 7


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--training.stepz", "3"], "unknown setting 'training.stepz'.*nearest is 'training.steps'"),
        (["--trainig.steps=3"], "nearest is 'training.steps'"),
        (["--training.steps", "many"], "^training.steps: expected int. Got value: many"),
        (["--data.fit", "squash"], "^data.fit: expected one of 'crop', 'pad', 'stretch'. Got value: squash"),
        (["--training.steps", "-4"], "training.steps is -4; allowed is 1"),
        (["--data.fit", "squeeze"], "data.fit.*squeeze"),
        (["--preset", "fast"], "--preset 'fast' is none of quick, standard, full"),
        (["--config", "/nowhere.yaml"], "/nowhere.yaml cannot be read"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(argv, said):
    with pytest.raises(InputError, match=f"(?s){said}"):
        parse(*argv)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training: {stepz: 3}", "unknown setting 'training.stepz' in .*nearest is 'training.steps'"),
        ("- a\n- b", "holds list"),
        ("training: [", "is not YAML"),
    ],
)
def test_a_mistake_in_a_recipe_file_names_the_file(tmp_path, text, said):
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=f"(?s)recipe.yaml.*{said}|{said}"):
        parse("--config", str(file))


def test_the_exit_code_says_what_happened(capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    assert answer(lambda: do_recipe("augment", "", [], AUGMENT, lambda recipe: None)) == 0
    assert answer(lambda: do_recipe("augment", "", ["--seedz", "1"], AUGMENT, lambda recipe: None)) == 2
    assert "nearest is 'seed'" in capsys.readouterr().err
    assert answer(lambda: do_recipe("augment", "", [], AUGMENT, interrupted)) == 130
    assert "goes on from here" in capsys.readouterr().err


def test_the_segments_of_every_recipe_have_a_code_each():
    files = sorted((recipes_folder() / "segment").glob("*.yaml"))
    coded = [recipe for file in files if "segment_codes" in (recipe := yaml.safe_load(file.read_text()))]
    assert {recipe["classes"][1] for recipe in coded} == {"anterior", "necrosis"}
    for recipe in coded:
        segments = segments_of(recipe["classes"][1:], recipe["segment_codes"])
        assert {segment.type.scheme for segment in segments} == {"SCT"}


def test_evaluations_of_images_and_of_masks_write_into_folders_of_their_own():
    images, masks = EvaluateImages(real="a", synthetic="b"), EvaluateMasks(truth="a", prediction="b")
    assert Path(images.out) != Path(masks.out)
