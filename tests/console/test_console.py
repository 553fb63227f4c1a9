"""One console command: it knows every other, completes their words, and says what there is."""

import ast
import json
import os
import shlex
import subprocess
import sys
import time
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from meddiff import __version__
from meddiff.cache.upkeep import beyond, clear, entries, in_units
from meddiff.console import main as console
from meddiff.console.doctor import extras, facts
from meddiff.console.list_runs import runs_below
from meddiff.jobs.job import JOBS
from meddiff.recipe import Recipe, SegmentRecipe, to_dict

PACKAGE = Path(console.__file__).parents[1]


def test_every_command_of_the_package_is_known_by_the_console():
    """Whoever adds a command adds its line: a module of pipelines/ with a `main` of its own."""
    names = {file.stem: file for file in (PACKAGE / "pipelines").glob("*.py")}
    with_main = {name for name, file in names.items() if "main" in _assigned(file)} - {"command_line"}
    assert with_main | set(console.OWN) == set(console.COMMANDS)


def _assigned(file: Path) -> set[str]:
    body = ast.parse(file.read_text()).body
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    return functions | {t.id for node in body if isinstance(node, ast.Assign) for t in node.targets}


def test_the_package_installs_it():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    module, _, name = project["scripts"]["meddiff"].partition(":")
    assert getattr(import_module(module), name) is console.main


def test_it_says_what_there_is_and_its_version(capsys):
    assert console.main([]) == 0
    assert all(f"  {name} " in capsys.readouterr().out for name in ["augment"])
    assert console.main(["--version"]) == 0
    assert capsys.readouterr().out == f"meddiff {__version__}\n"


def test_a_wrong_word_is_answered_with_the_nearest(capsys):
    assert console.main(["agument"]) == 2
    assert "the nearest is augment" in capsys.readouterr().err
    assert console.main(["completion", "tcsh"]) == 2
    assert "bash, zsh, fish; got tcsh" in capsys.readouterr().err


def test_a_command_gets_its_words(capsys):
    assert console.main(["segment", "nonsense"]) == 2
    assert "the verbs are train, evaluate, augment, test, predict" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "choices"),
    [
        (["seg"], {"segment"}),
        (["segment", "pre"], {"predict"}),
        (["segment", "predict", "--save_m"], {"--save_maps", "--save_members"}),
        (["augment", "--training.st"], {"--training.steps"}),
        (["cache", "--old"], {"--older_than"}),
        (["completion", "z"], {"zsh"}),
        (["nonsense", ""], set()),
        (["augment", "--out", ""], set()),
    ],
)
def test_words_are_completed(typed, choices):
    assert set(console.words_for(typed)) == choices


def test_a_shell_completes():
    """The script works in the one shell that is everywhere."""
    place = Path(sys.executable).parent
    program = f'meddiff() {{ \'{sys.executable}\' -m meddiff "$@"; }}; eval "$(meddiff completion bash)";'
    program += 'COMP_WORDS=(meddiff seg); COMP_CWORD=1; _meddiff; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True, cwd=place)
    assert done.stdout.split() == ["segment"]


@pytest.mark.parametrize(("command", "kind"), [(["augment"], Recipe), (["segment", "train"], SegmentRecipe)])
def test_help_shows_what_is_touched_first_and_all_on_demand(command, kind, capsys):
    shown = {}
    for more in ([], ["all"]):
        with pytest.raises(SystemExit):
            console.main([*command, "--help", *more])
        shown[bool(more)] = capsys.readouterr().out
    assert all(f"--{name}" in shown[False] for name in kind.FIRST)
    assert len(kind.FIRST) == 12
    assert "more settings: --help all" in shown[False]
    assert "--training.warmup_steps" not in shown[False]
    assert "--training.warmup_steps" in shown[True]


HELP_OF_ALL = """
import io, sys
from contextlib import redirect_stdout, suppress
from meddiff.console import main as console

for name in console.COMMANDS:
    shown = io.StringIO()
    with redirect_stdout(shown), suppress(SystemExit):
        console.main([name, "--help"])
    for verb in console._VERB.findall(shown.getvalue()):
        with redirect_stdout(io.StringIO()), suppress(SystemExit):
            console.main([name, verb, "--help"])
    if heavy := {"torch", "monai", "pandas", "scipy", "matplotlib", "sklearn"} & set(sys.modules):
        sys.exit(f"{name} --help imports {heavy}")
"""


def test_help_of_no_command_imports_what_takes_seconds():
    done = subprocess.run([sys.executable, "-c", HELP_OF_ALL], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_doctor_names_all_that_a_run_depends_on():
    lines = dict(facts())
    assert {"versions", "system", "processor", "memory", "GPU", "disk", "cache", "weights", "[test]"} <= set(lines)
    assert f"meddiff {__version__}" in lines["versions"]
    assert set(extras()) == {"test", "dev", "benchmark"} | set(extras())


def test_sizes_are_said_as_people_say_them():
    assert [in_units(n) for n in (0, 999, 1024, 830 * 2**20, 3 * 2**40)] == [
        "0 bytes", "999 bytes", "1 KiB", "830 MiB", "3 TiB"
    ]  # fmt: skip


def _entry(folder: Path, name: str, size: int, days: float) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "images.npy").write_bytes(bytes(size))
    then = time.time() - days * 86_400
    os.utime(folder / name / "images.npy", (then, then))
    return folder / name


def test_the_cache_is_cleared_of_what_is_old_or_too_much(tmp_path):
    old, middle, new = (_entry(tmp_path, name, size, days) for name, size, days in
                        (("a", 10, 40), ("b", 20, 10), ("c", 30, 1)))  # fmt: skip
    (tmp_path / "a.lock").touch()
    kept = entries(tmp_path)
    assert [(one.path, one.size, round(one.age_days)) for one in kept] == [
        (old, 10, 40),
        (middle, 20, 10),
        (new, 30, 1),
    ]
    assert [one.path for one in beyond(kept)] == []
    assert [one.path for one in beyond(kept, days=5)] == [old, middle]
    assert [one.path for one in beyond(kept, gibibytes=50 / 2**30)] == [old]
    assert [one.path for one in beyond(kept, days=100, gibibytes=0)] == [old, middle, new]
    clear(beyond(kept, days=30))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "c"]


def test_what_another_process_builds_stays(tmp_path):
    entry = _entry(tmp_path, "a", 10, 40)
    with FileLock(tmp_path / "a.lock"):
        assert clear(entries(tmp_path)) == []
    assert entry.is_dir()
    assert len(clear(entries(tmp_path))) == 1


def test_the_cache_command_deletes_nothing_unasked(tmp_path, capsys):
    _entry(tmp_path, "a", 2**20, 40)
    assert console.main(["cache", "--folder", str(tmp_path)]) == 0
    assert "not used for 30 days: 1 MiB in 1 entries" in capsys.readouterr().out
    assert console.main(["cache", "--folder", str(tmp_path), "--older_than", "30"]) == 0
    assert "deleted 1 MiB in 1 entries" in capsys.readouterr().out
    assert entries(tmp_path) == []


@pytest.mark.parametrize("command", [command for job in JOBS.values() for command in job.next])
def test_commands_to_go_on_with_are_commands(command, tmp_path, monkeypatch, capsys):
    """Settings of the right names: what is refused is the folder that is not there."""
    monkeypatch.chdir(tmp_path)
    assert console.main(shlex.split(command.format(run="'a run'", dataset="isic"))) == 2
    said = capsys.readouterr().err
    assert "a run" in said or "YOUR_IMAGES" in said or "OTHER_IMAGES" in said
    assert "unknown setting" not in said


def _run(folder: Path, settings: dict, done: list[str], **report) -> Path:
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(settings))
    if done:
        record = {stage: {"inputs": "0", "outputs": {}, "seconds": 1.0} for stage in done}
        (folder / "stages.json").write_text(json.dumps(record))
    if report:
        (folder / "report.json").write_text(json.dumps(report))
    return folder


def test_runs_are_listed_with_what_came_out(tmp_path, capsys):
    drawn, masks = to_dict(Recipe()), to_dict(SegmentRecipe())
    done = _run(tmp_path / "a", drawn, ["manifest", "train", "report"], headline="No help was \x1b[31mshown.")
    stopped = _run(tmp_path / "deep" / "b", masks, ["manifest", "train"])
    begun = _run(tmp_path / "c", masks, [])
    bad = _run(tmp_path / "d", drawn, [])
    (bad / "recipe.yaml").write_text("- a list")
    by_folder = {one.folder: one for one in runs_below(tmp_path)}
    assert set(by_folder) == {done, stopped, begun, bad}
    assert (by_folder[done].state, by_folder[done].does) == ("finished", "draws images")
    assert "\x1b" not in by_folder[done].headline
    assert by_folder[stopped].state == "manifest, train done; stopped: the same command goes on"
    assert by_folder[stopped].does == "segments images"
    assert by_folder[begun].state.startswith("begun; stopped")
    assert by_folder[bad].does == "cannot be read"
    with FileLock(stopped / ".lock"):
        assert {one.folder: one for one in runs_below(tmp_path)}[stopped].state.endswith("running")
    assert console.main(["runs", str(tmp_path)]) == 0
    assert "segments images of isic (auto)" in capsys.readouterr().out


def test_where_there_is_no_run_it_says_how_to_make_one(tmp_path, capsys):
    assert console.main(["runs", str(tmp_path)]) == 2
    assert "there is no run in it" in capsys.readouterr().err
    assert console.main(["runs", str(tmp_path / "nowhere")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
