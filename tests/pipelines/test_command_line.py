"""The command line teaches, is quick, and answers a mistake with one sentence."""

import subprocess
import sys

import pytest
import yaml

from meddiff.data.segment_codes import segments_of
from meddiff.errors import InputError
from meddiff.pipelines.command_line import AUGMENT, main, parse_recipe, recipes_folder

COMMANDS = ("build_manifest", "train", "synthesize", "classify", "augment")


def parse(*argv: str):
    return parse_recipe("augment", "", argv, AUGMENT)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_without_importing_torch(command):
    code = (
        f"import sys, meddiff.pipelines.{command} as c\n"
        "try: c.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('HEAVY', {'torch', 'monai', 'matplotlib', 'sklearn'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert f"python -m meddiff.pipelines.{command} --dataset" in shown
    assert "--training.steps" in shown
    assert "Optimizer steps." in shown
    assert "HEAVY set()" in shown


@pytest.mark.parametrize("verb", ["evaluate", "test", "predict"])
def test_help_of_segmentation_does_not_import_torch_either(verb):
    """jsonargparse imports what stands under TYPE_CHECKING in a module whose settings it lists."""
    code = (
        f"import sys, meddiff.pipelines.segment as c\n"
        f"try: c.main(['{verb}', '--help'])\n"
        "except SystemExit: pass\n"
        "print('HEAVY', {'torch', 'monai', 'matplotlib', 'sklearn'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert f"python -m meddiff.pipelines.segment {verb}" in shown
    assert "HEAVY set()" in shown


def test_flags_override_the_preset_which_overrides_the_defaults():
    recipe = parse("--preset", "quick", "--training.steps=7", "--network.channels", "[32, 64]")
    assert recipe.training.steps == 7
    assert recipe.network.channels == (32, 64)
    assert recipe.data.image_size == 32
    assert parse("--preset=standard").data.image_size == 64


def test_dashes_and_underscores_are_one():
    assert parse("--data-root", "/tmp/a-b").data_root == "/tmp/a-b"
    assert parse("--data_root=/tmp/a-b").data_root == "/tmp/a-b"


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

    assert main("augment", "", lambda recipe: None, []) == 0
    assert main("augment", "", lambda recipe: None, ["--seedz", "1"]) == 2
    assert "nearest is 'seed'" in capsys.readouterr().err
    assert main("augment", "", interrupted, []) == 130
    assert "goes on from here" in capsys.readouterr().err


def test_the_segments_of_every_recipe_have_a_code_each():
    files = sorted((recipes_folder() / "segment").glob("*.yaml"))
    coded = [recipe for file in files if "segment_codes" in (recipe := yaml.safe_load(file.read_text()))]
    assert {recipe["classes"][1] for recipe in coded} == {"anterior", "necrosis"}
    for recipe in coded:
        segments = segments_of(recipe["classes"][1:], recipe["segment_codes"])
        assert {segment.type.scheme for segment in segments} == {"SCT"}
