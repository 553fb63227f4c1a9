"""The container and the workflow are what they say, as far as can be seen without building them."""

import re
import shlex
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def instructions() -> list[tuple[str, str]]:
    """(FROM, python:...), (RUN, pip install ...) and so on, continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def of(name: str) -> list[str]:
    return [words for instruction, words in instructions() if instruction == name]


def test_the_base_is_pinned_and_of_a_python_that_is_supported():
    (base,) = of("FROM")
    pinned = re.fullmatch(r"python:(3\.\d+)\.\d+-slim-\w+", base)
    assert pinned
    assert f"Programming Language :: Python :: {pinned[1]}" in PROJECT["classifiers"]


def test_it_runs_one_command_and_not_as_root():
    names = [name for name, _ in instructions()]
    assert names.count("ENTRYPOINT") == 1
    assert of("ENTRYPOINT") == ['["meddiff"]']
    assert of("USER") == ["user"]
    assert names.index("USER") > names.index("RUN")
    assert "useradd" in of("RUN")[-1]
    assert "meddiff" in PROJECT["scripts"]


def test_what_is_copied_is_there_and_not_ignored():
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ignored[0] == "*"
    copied = [word for words in of("COPY") for word in shlex.split(words)[:-1]]
    assert all((ROOT / word).exists() and f"!{word}" in ignored for word in copied)
    hatch = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*hatch["packages"], *hatch["force-include"], "README.md", "pyproject.toml", "constraints.txt", "LICENSE"}
    assert needed <= set(copied)


def test_it_installs_the_tested_versions_from_an_index_that_can_be_named():
    (install,) = of("RUN")
    assert "-c constraints.txt" in install
    assert "--no-cache-dir" in install
    assert of("ARG") == ["TORCH_INDEX="]
    assert '${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"}' in install


def test_the_workflow_does_what_is_done_here_on_every_supported_python():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    supported = [one.rpartition(" ")[2] for one in PROJECT["classifiers"] if "Python :: 3." in one]
    assert jobs["tests"]["strategy"]["matrix"]["python"] == supported
    done = {name: " && ".join(step.get("run", "") for step in jobs[name]["steps"]) for name in jobs}
    assert "bash .ci/run" in done["tests"]
    assert "ruff check" in done["style"]
    assert "python docs/build.py" in done["docs"]
    named = re.findall(r"(?:bash|python) ([\w./]+\.?\w+)", " ".join(done.values()))
    assert all((ROOT / name).is_file() for name in named if "/" in name)
    extras = {extra for text in done.values() for words in re.findall(r"\.\[([\w,]+)\]", text)
              for extra in words.split(",")}  # fmt: skip
    assert extras <= set(PROJECT["optional-dependencies"])


def test_issue_forms_ask_for_what_is_needed():
    forms = [yaml.safe_load(file.read_text()) for file in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")]
    forms = [form for form in forms if "body" in form]
    assert len(forms) == 2
    for form in forms:
        assert {"name", "description", "body"} <= set(form)
        assert any(field.get("validations", {}).get("required") for field in form["body"])
    assert any("meddiff doctor" in field["attributes"]["label"] for form in forms for field in form["body"])
