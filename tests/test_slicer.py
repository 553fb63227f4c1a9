"""The module of 3D Slicer as far as it goes without Slicer: the command, the files, what is loaded and what is said."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

MODULE = Path(__file__).parents[1] / "extras" / "slicer" / "MeddiffSegment.py"


class Node:
    name = "T1"

    def GetName(self):  # noqa: N802
        return self.name

    def SetName(self, name):  # noqa: N802
        self.name = name


@pytest.fixture
def slicer(monkeypatch):
    """A stand-in that notes what it was asked for, and the module that was loaded with it."""
    asked, node = [], Node()

    def save(volume, path):
        Path(path).write_bytes(b"nifti")
        asked.append(("saved", Path(path).name))
        return True

    def load(path):
        asked.append(("loaded", Path(path).name, Path(path).read_text()))
        return node

    util = SimpleNamespace(saveNode=save, loadSegmentation=load, startupEnvironment=lambda: {"PATH": "/usr/bin:/bin"})
    package, base = ModuleType("slicer"), ModuleType("slicer.ScriptedLoadableModule")
    for kind in ("", "Widget", "Logic"):
        setattr(base, f"ScriptedLoadableModule{kind}", type(f"ScriptedLoadableModule{kind}", (), {}))
    package.util, package.ScriptedLoadableModule = util, base
    for name, module in {"slicer": package, base.__name__: base, "qt": ModuleType("qt")}.items():
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("MeddiffSegment", MODULE)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return SimpleNamespace(module=loaded, asked=asked, logic=loaded.MeddiffSegmentLogic())


def program(folder: Path, lines: str) -> str:
    path = folder / "meddiff"
    path.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_the_volume_is_segmented_by_the_command_and_its_mask_loaded(slicer, tmp_path):
    command = program(tmp_path, 'test -f "$4" && mkdir -p "$6" && echo "$1 $2 $3 $5 $7 $8" > "$6/volume_mask.nii.gz"')
    segmentation = slicer.logic.segment(Node(), command, "runs/some run")
    line = "segment predict --input --output --checkpoint runs/some run\n"
    assert slicer.asked == [("saved", "volume.nii.gz"), ("loaded", "volume_mask.nii.gz", line)]
    assert segmentation.GetName() == "T1 by meddiff"


def test_what_the_command_says_is_what_the_user_reads(slicer, tmp_path):
    with pytest.raises(RuntimeError, match="error: 2 sequences"):
        slicer.logic.segment(Node(), program(tmp_path, "echo 'error: 2 sequences' >&2; exit 2"), "run")
    with pytest.raises(RuntimeError, match="has written no mask"):
        slicer.logic.segment(Node(), program(tmp_path, "exit 0"), "run")
    with pytest.raises(RuntimeError, match="load one first"):
        slicer.logic.segment(None, "meddiff", "run")
    with pytest.raises(RuntimeError, match="name the run folder"):
        slicer.logic.segment(Node(), "meddiff", "")


def test_its_words_are_those_of_the_command(slicer):
    from meddiff.command_line import parse_settings
    from meddiff.recipe.commands import Predict

    words = slicer.module.words("meddiff", "in.nii.gz", "out", "run")
    settings = parse_settings(Predict, "segment predict", "", "", words[3:])
    assert (settings.input, settings.output, settings.checkpoint) == ("in.nii.gz", "out", "run")
