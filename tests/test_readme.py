"""The README's two commands are commands, and CI runs exactly those."""

import ast
import re
import shlex
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from meddiff.command_line import AUGMENT, AUTOENCODE, DETECT, SEGMENT, TRANSLATE, parse_recipe, parse_settings
from meddiff.jobs.job import name_of
from meddiff.manifest.table import write_manifest
from meddiff.recipe import commands as settings_of
from meddiff.recipe import generators
from meddiff.recipe.detect import Detect
from meddiff.recipe.exports import FORMATS
from meddiff.sources.phantom.files import write
from meddiff.sources.phantom.people import rows

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PHANTOMS = {row.image_path for row in rows("dermoscopy", seed=0, count=100)}
KINDS = {
    ("segment", "predict"): settings_of.Predict, ("translate", "predict"): settings_of.Translation,
    ("segment", "test"): settings_of.OtherImages,
    ("edit", ""): generators.Edit, ("likelihood", ""): generators.Likelihood, ("detect", "predict"): Detect,
    ("evaluate", "images"): settings_of.EvaluateImages,
    ("evaluate", "masks"): settings_of.EvaluateMasks, ("evaluate", "augmentation"): settings_of.EvaluateAugmentation,
} | {("export", name): kind for name, kind in FORMATS.items()}  # fmt: skip
"""Settings of the commands that are no recipe."""
READ = ("checkpoint", "input", "data_root", "manifest", "real", "synthetic", "train", "truth", "prediction", "against",
        "run")  # fmt: skip
"""Settings that name what must be there."""


def command(marker: str) -> str:
    found = re.search(rf"<!-- {marker} -->\n```\n(.+?)\n```", README, re.DOTALL)
    assert found, f"README has no block marked {marker}"
    return found.group(1)


def test_each_of_the_two_commands_is_one_line_that_a_shell_understands():
    for marker in ("main-command", "test-command"):
        text = command(marker)
        assert "\n" not in text
        subprocess.run(["bash", "-n", "-c", text], check=True)
        assert text.startswith("python3 -m venv ")
        assert "-c constraints.txt" in text


def test_ci_takes_its_commands_from_the_readme():
    script = (ROOT / ".ci" / "run").read_text()
    assert "readme_command test-command" in script
    assert "readme_command main-command" in script
    extract = "eval \"$(sed -n '/^readme_command()/p' .ci/run)\"; readme_command "
    for marker in ("main-command", "test-command"):
        shown = subprocess.run(["bash", "-c", extract + marker], cwd=ROOT, capture_output=True, text=True, check=True)
        assert shown.stdout.strip() == command(marker)


def test_every_command_and_file_that_the_readme_names_is_there():
    for module in set(re.findall(r"python -m (meddiff\.[\w.]+)", README)):
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file(), module
    for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "data_manifest.csv", "constraints.txt"):
        assert (ROOT / name).is_file(), name


def blocks() -> list[tuple[str, str]]:
    """The README's code in its order: (language, text); what a shell is told has none."""
    return re.findall(r"^```(\w*)\n(.+?)\n```$", README, re.DOTALL | re.MULTILINE)


def commands_of(block: str) -> list[list[str]]:
    """Words of each command that a shell would run."""
    commands: list[list[str]] = []
    for line in block.replace("\\\n", " ").splitlines():
        commands.append([])
        for word in shlex.split(line, comments=True):
            if word == "&&":
                commands.append([])
            else:
                commands[-1].append(word)
    return commands


USERS = ("~/HAM10000", "~/photo.jpg", "FOLDER", "MANIFEST_OR_FOLDER")
"""What stands for something that a reader has."""
VERBS = {"segment": SEGMENT, "translate": TRANSLATE, "detect": DETECT, "autoencode": AUTOENCODE}
OF_A_STUDY = {"report.html", "manifest.csv", "synthetic_manifest.csv", *PHANTOMS}
OF_A_SEGMENTATION = {"report.html", "manifest.csv", "masks/unet", "masks/diffusion", *PHANTOMS}


class Shell:
    """A shell that only knows which files there would be: commands are parsed as the program parses them."""

    def __init__(self) -> None:
        self.made: set[str] = set()
        self.active = False

    def run(self, words: list[str]) -> None:
        if words == [".", ".venv/bin/activate"]:
            self.active = ".venv" in self.made
        elif words[:3] == ["python3", "-m", "venv"]:
            self.made.add(words[3])
        elif words[1:2] == ["-m"] and words[2].startswith("meddiff.pipelines."):
            assert self.active if words[0] == "python" else ".venv" in self.made, f"no environment for {words}"
            self.do(words[2].removeprefix("meddiff.pipelines."), words[3:])
        else:
            assert words[:3] in ([".venv/bin/python", "-m", "pip"], [".venv/bin/python", "-m", "pytest"]), words

    def do(self, command: str, words: list[str]) -> None:
        """Take what a command reads for there, and note what it makes."""
        if command in ("augment", "train", "synthesize", "classify"):
            recipe = parse_recipe(command, "", words, AUGMENT)
            self.needs(recipe.data_root, recipe.manifest, recipe.diffusion.latent)
            self.make(recipe.out or f"runs/{name_of(recipe)}", OF_A_STUDY)
        elif command in VERBS and words[0] in ("train", "evaluate"):
            recipe = parse_recipe(command, "", words[1:], VERBS[command])
            self.needs(recipe.data_root, recipe.manifest)
            self.make(recipe.out or f"runs/{command}-{name_of(recipe)}", OF_A_SEGMENTATION)
        else:
            verb = words[0] if command in (*VERBS, "evaluate", "export") else ""
            settings = parse_settings(KINDS[command, verb], command, "", "", words[1:] if verb else words)
            given = {name: value for name, value in asdict(settings).items() if isinstance(value, str)}
            self.needs(*(given.get(name, "") for name in READ))
            self.make(given.get("output") or given.get("out") or "nothing", set())

    def needs(self, *places: str) -> None:
        for place in filter(None, places):
            plain = re.sub(r"\.csv:(train|val|test)$", ".csv", place)
            assert plain in self.made or plain in USERS, f"{place} was not made before"

    def make(self, folder: str, files: set[str]) -> None:
        self.made |= {folder, *(f"{folder}/{name}" for name in files)}


@pytest.mark.parametrize("gpu", [False, True])
def test_what_a_block_names_was_made_by_a_block_before(monkeypatch, gpu):
    """Pasted in their order, with a GPU and without one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    shell, commands, places = Shell(), 0, 0
    for language, block in blocks():
        if language == "python":
            texts = [node.value for node in ast.walk(ast.parse(block)) if isinstance(node, ast.Constant)]
            named = [text for text in texts if isinstance(text, str) and ("/" in text or "." in text)]
            shell.needs(*named)
            places += len(named)
        else:
            for words in commands_of(block):
                shell.run(words)
                commands += 1
    assert (commands, places) >= (10, 3)
    (opened,) = re.findall(r"Then open `(.+?)`", README)
    shell.needs(opened)


def test_the_name_of_a_run_without_a_folder_is_as_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    recipe = parse_recipe("augment", "", ["--dataset", "isic", "--data-root", "~/HAM10000"], AUGMENT)
    assert f"`runs/{name_of(recipe)}`" in README


def test_a_block_that_names_what_nobody_made_is_noticed():
    shell, run = Shell(), "runs/segment-isic-phantom-quick"

    def paste(line: str) -> None:
        for words in commands_of(line):
            shell.run(words)

    predict = "python -m meddiff.pipelines.segment predict --output o"
    paste("python3 -m venv .venv")
    with pytest.raises(AssertionError, match="no environment"):
        paste("python -m meddiff.pipelines.augment --dataset isic")
    paste(". .venv/bin/activate && python -m meddiff.pipelines.segment evaluate --dataset isic")
    with pytest.raises(AssertionError, match="segment-isic-standard was not made before"):
        paste(f"{predict} --checkpoint runs/segment-isic-standard --input {run}/report.html")
    with pytest.raises(AssertionError, match=r"photo\.jpg was not made before"):
        paste(f"{predict} --checkpoint {run} --input photo.jpg")


def test_the_lines_of_python_train_and_draw(tmp_path, monkeypatch):
    found = re.search(r"<!-- python -->\n```python\n(.+?)\n```", README, re.DOTALL)
    assert found, "README has no block marked python"
    lines = [line for line in found[1].splitlines() if line.strip()]
    assert len(lines) <= 8
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = tmp_path / "runs" / "isic-phantom-quick"
    drawn = write(rows("dermoscopy", seed=0, count=24), run)
    write_manifest(drawn, run / "manifest.csv")
    names: dict = {}
    exec(found[1], names)
    assert names["step"].step == 20
    assert names["pictures"].shape == (2, 3, 32, 32)
    assert names["pictures"].isfinite().all()


def test_constraints_pin_what_the_project_needs():
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().split() if "==" in line}
    text = (ROOT / "pyproject.toml").read_text()
    block = re.search(r"^dependencies = \[(.+?)^\]", text, re.DOTALL | re.MULTILINE)
    assert block
    needed = {name.lower() for name in re.findall(r'"([A-Za-z0-9_-]+)', block.group(1))}
    assert needed <= pinned
