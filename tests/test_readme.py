"""The README's two commands are commands, and CI runs exactly those."""

import re
import subprocess
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


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


def test_the_lines_of_python_train_and_draw(tmp_path, monkeypatch):
    found = re.search(r"<!-- python -->\n```python\n(.+?)\n```", README, re.DOTALL)
    assert found, "README has no block marked python"
    lines = [line for line in found[1].splitlines() if line.strip()]
    assert len(lines) <= 8
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number, name in enumerate(("benign", "malignant")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for image in range(6):
            pixels = np.full((40, 50, 3), 100 * number + 10 * image, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{image}.png")
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
