"""The documentation: no link between its pages leads nowhere, its commands are commands, its pages can be built."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import pytest

from meddiff.console.main import COMMANDS
from meddiff.recipe import KINDS
from meddiff.recipe.values import hints
from tests.test_readme import Shell, commands_of

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("meddiff/weights/*/README.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")


def plain(text: str) -> str:
    """A page without its code, in which brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """Names of the headings as the forge and MyST make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead(page: Path, text: str) -> list[str]:
    """Links of a page to files and headings that are not there; those into the web are not followed."""
    lost = []
    for link in LINK.findall(plain(text)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    return lost


@pytest.mark.parametrize("page", NAMES)
def test_no_link_leads_nowhere(page):
    assert dead(ROOT / page, (ROOT / page).read_text(encoding="utf-8")) == []


def test_a_dead_link_is_noticed():
    text = (
        "[a](start.md) [b](start.md#install) [c](start.md#instal) [d](gone.md) `[e](gone.md)` [f](https://x.org/gone)"
    )
    assert dead(ROOT / "docs" / "how_to.md", text) == ["start.md#instal", "gone.md"]


class Reader(Shell):
    """Parses commands as the program does, of a reader who has all that they name."""

    def needs(self, *places: str) -> None:
        """Be content."""


@pytest.mark.parametrize("page", [name for name in NAMES if name.startswith("docs/")])
def test_commands_of_a_page_are_commands(page, monkeypatch):
    monkeypatch.setenv("HOME", "/nowhere")
    text = (ROOT / page).read_text(encoding="utf-8")
    for block in re.findall(r"^```\n(.+?)\n```$", text, re.DOTALL | re.MULTILINE):
        for words in commands_of(block):
            if words[:1] != ["meddiff"]:
                continue
            command, *rest = words[1:]
            assert command in COMMANDS, words
            if command in ("segment", "augment", "translate", "detect", "edit", "likelihood", "evaluate"):
                Reader().do(command, rest)


@pytest.mark.parametrize("page", NAMES)
def test_settings_that_a_page_names_are_settings(page):
    known = {name for kind in KINDS for name in hints(kind)}
    parts = {name.partition(".")[0] for name in known if "." in name}
    text = (ROOT / page).read_text(encoding="utf-8")
    named = {name for name in re.findall(r"--([a-z_]+\.[a-z_]+)", text) if name.partition(".")[0] in parts}
    assert named <= known


def test_the_site_is_built(tmp_path):
    """Sphinx refuses a page that nothing leads to, a name that is not there, a link into nothing."""
    if missing := [name for name in ("sphinx", "furo", "myst_nb", "latex2mathml") if find_spec(name) is None]:
        pytest.skip(f"{', '.join(missing)} of the documentation is not installed: pip install 'meddiff[docs]'")
    command = [sys.executable, "docs/build.py", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "html" / "docs" / "explain.html").read_text(encoding="utf-8")
    assert "<math" in page
    settings = (tmp_path / "source" / "reference" / "settings.md").read_text(encoding="utf-8")
    assert "| `seed` | whole number, 0 to 1,000,000,000 | `0` | The one seed" in settings
    assert "runs/&lt;dataset>-&lt;preset>" in settings
    fetched = re.compile(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"')
    assert [url for file in tmp_path.rglob("*.html") for url in fetched.findall(file.read_text())] == []
