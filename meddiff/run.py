"""One run: its settings, its folder with the names of all outputs, and where it speaks; which of its stages are done.

A stage is done when its record in ``stages.json`` names the same inputs as today's and everything it wrote still
stands. Delete an output, or change a setting that the stage depends on, and the next run does it again.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from rich.console import Console

from meddiff.errors import InputError
from meddiff.files.documents import read_json, read_yaml
from meddiff.files.printable import printable
from meddiff.files.snapshot import Snapshot
from meddiff.files.writing import in_plain_words, missing_folders, write_text
from meddiff.manifest.row import ManifestRow
from meddiff.manifest.table import read_manifest
from meddiff.recipe import KINDS, AnyRecipe, Recipe, RunRecipe, from_dict

Kind = TypeVar("Kind", bound=RunRecipe, covariant=True)
Own = TypeVar("Own", bound=AnyRecipe)
Made = TypeVar("Made")
_LEFTOVER = re.compile(r"\..+\.[0-9a-f]{32}\.part")


@dataclass(frozen=True)
class Run(Generic[Kind]):
    """One run: its settings, its folder, and where it speaks. What several stages read is read once.

    A copy that was sent to another process reads for itself and says nothing.
    """

    recipe: Kind
    folder: RunFolder
    console: Console = field(default_factory=partial(Console, quiet=True), compare=False, repr=False)
    _kept: dict[Hashable, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @property
    def rows(self) -> tuple[ManifestRow, ...]:
        """The rows of the run's manifest."""
        return self.keep("rows", lambda: tuple(read_manifest(self.folder.manifest, root=self.root, check_files=False)))

    def of(self, split: str) -> tuple[ManifestRow, ...]:
        """Choose the rows of one split."""
        return self.keep(("rows", split), lambda: tuple(row for row in self.rows if row.split == split))

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels of the training images, sorted."""
        return self.keep("classes", lambda: tuple(sorted({row.label or "" for row in self.of("train")})))

    @property
    def root(self) -> Path:
        """The folder that paths of the run's manifest are relative to."""
        if self.recipe.data_root:
            return Path(self.recipe.data_root)
        return Path(self.recipe.manifest).parent if self.recipe.manifest else self.folder.path

    def keep(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return what is kept under the key; made when it is first asked for."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def forget(self) -> None:
        """Let go of all that is kept: the manifest was written anew."""
        self._kept.clear()

    def __reduce__(self) -> tuple:
        """Pickle the settings and the folder alone: a terminal and mapped files stay in their process."""
        return Run, (self.recipe, self.folder)


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run; every file in it has its name here and nowhere else."""

    path: Path

    recipe = property(lambda self: self.path / "recipe.yaml")
    manifest = property(lambda self: self.path / "manifest.csv")
    skipped = property(lambda self: self.path / "skipped.csv")
    findings = property(lambda self: self.path / "findings.csv")
    contents = property(lambda self: self.path / "contents.csv")
    environment = property(lambda self: self.path / "environment.json")
    log = property(lambda self: self.path / "log.csv")
    checkpoints = property(lambda self: self.path / "checkpoints")
    samples = property(lambda self: self.path / "samples")
    phantom = property(lambda self: self.path / "phantom")
    synthetic = property(lambda self: self.path / "synthetic")
    synthetic_manifest = property(lambda self: self.path / "synthetic_manifest.csv")
    filter = property(lambda self: self.path / "filter.csv")
    classifier = property(lambda self: self.path / "classifier.safetensors")
    predictions = property(lambda self: self.path / "predictions.csv")
    validation_predictions = property(lambda self: self.path / "validation_predictions.csv")
    arms = property(lambda self: self.path / "arms.csv")
    attributes = property(lambda self: self.path / "attributes.csv")
    scores = property(lambda self: self.path / "scores.csv")
    differences = property(lambda self: self.path / "differences.csv")
    tests = property(lambda self: self.path / "tests.csv")
    subgroups = property(lambda self: self.path / "subgroups.csv")
    curve = property(lambda self: self.path / "curve.csv")
    distances = property(lambda self: self.path / "distances.csv")
    report_html = property(lambda self: self.path / "report.html")
    report_json = property(lambda self: self.path / "report.json")
    stages = property(lambda self: self.path / "stages.json")
    answers = property(lambda self: self.path / "answers")
    models = property(lambda self: self.path / "models")
    masks = property(lambda self: self.path / "masks")
    cases = property(lambda self: self.path / "cases.csv")
    calibration = property(lambda self: self.path / "calibration.csv")
    detections = property(lambda self: self.path / "detections.csv")
    temperatures = property(lambda self: self.path / "temperatures.json")
    mask_values = property(lambda self: self.path / "mask_values.json")
    likeness = property(lambda self: self.path / "likeness.json")

    @contextmanager
    def opened(self, papers: Sequence[Path] = ()) -> Iterator[RunFolder]:
        """Create the folder, hold it alone and remove what killed processes left half written.

        A command that is refused before its work began leaves the folder as it was; ``papers`` are the files that it
        writes before its work begins, those of a run where none are named.

        Raises:
            InputError: it cannot be written, or another run holds it; and what comes from inside.
        """
        from filelock import FileLock, Timeout

        made = missing_folders(self.path)
        with in_plain_words(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=0.5, poll_interval=0.05)  # who looks whether it is held holds it for a moment
        except Timeout:
            raise InputError(
                f"another process is running in {self.path}; wait for it or name another folder with --out"
            ) from None
        self._remove_half_written()
        of_stage_1 = self.manifest, self.skipped, self.findings, self.contents, self.mask_values
        own = self.recipe, self.environment, *of_stage_1, self.stages
        papers = papers or own
        before = Snapshot.of(self.path, papers=papers, grown=self.phantom)
        try:
            yield self
        except InputError:
            if before.put_back() and made:
                shutil.rmtree(self.path)
                with suppress(OSError):  # a folder that is not empty any more is not ours alone
                    for folder in made[1:]:
                        folder.rmdir()
            raise
        finally:
            lock.release()

    def _remove_half_written(self) -> None:
        for leftover in [path for path in self.path.rglob(".*.part") if _LEFTOVER.fullmatch(path.name)]:
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)

    @property
    def is_learned_from(self) -> bool:
        """True where more than a manifest was made of the run's images."""
        return self.checkpoints.exists() or self.models.exists() or len(self.record()) > 1

    def record(self) -> dict[str, dict[str, Any]]:
        """Return ``{stage: {"inputs": digest, "outputs": {name: content}, "seconds": ...}}`` of the finished stages.

        Raises:
            InputError: the record is damaged.
        """
        if not self.stages.is_file():
            return {}
        try:
            record = read_json(self.stages)
            return {stage: _checked(entry) for stage, entry in record.items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"{self.stages} is damaged ({error}). Delete it: the same command finds again what is finished."
            ) from error

    def is_done(self, stage: str, inputs: str) -> bool:
        """Say whether the stage was finished on these inputs and all that it wrote still stands."""
        entry = self.record().get(stage, {})
        return entry.get("inputs") == inputs and all(
            _listing(self.path / name) == listing for name, listing in entry["outputs"].items()
        )

    def finish(self, stage: str, inputs: str, outputs: list[Path], **facts: Any) -> None:
        """Record that the stage is finished, with what it cost (seconds, memory)."""
        listings = {output.relative_to(self.path).as_posix(): _listing(output) for output in outputs}
        record = self.record() | {stage: {"inputs": inputs, "outputs": listings, **facts}}
        write_text(self.stages, json.dumps(record, indent=2))


def state_of(folder: RunFolder) -> str:
    """Say how far a run is, and whether a process works on it.

    Raises:
        InputError: its record is damaged.
    """
    done = list(folder.record())
    if "report" in done:
        return "finished"
    at = f"{', '.join(done)} done" if done else "begun"
    return f"{at}; {'running' if _is_held(folder) else 'stopped: the same command goes on'}"


def _is_held(folder: RunFolder) -> bool:
    """Tell whether a process works in the folder."""
    from filelock import FileLock, Timeout

    file = folder.path / ".lock"
    if not file.is_file():
        return False
    try:
        with FileLock(file).acquire(timeout=0):
            return False
    except Timeout:
        return True


def headline_of(folder: RunFolder) -> str:
    """Return the first sentence of a run's report; empty where there is none."""
    if not folder.report_json.is_file():
        return ""
    report: Any = read_json(folder.report_json)
    return printable(str(report.get("headline", ""))) if isinstance(report, Mapping) else ""


def _checked(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a line of the record as it is written; TypeError where it is another."""
    texts = entry["inputs"], *entry["outputs"], *entry["outputs"].values()
    costs = [value for name, value in entry.items() if name not in ("inputs", "outputs")]
    if not all(isinstance(one, str) for one in texts) or not all(isinstance(one, int | float | None) for one in costs):
        raise TypeError("a stage has texts and numbers")
    return entry


def settings_in(folder: RunFolder, *, made_by: str = " or ".join(kind.MADE_BY for kind in KINDS)) -> dict[str, Any]:
    """Read the settings of a run as they were written down; ``made_by`` are the commands whose run is needed.

    Raises:
        InputError: there is no run; then it is said what is there.
    """
    if not folder.recipe.is_file():
        raise InputError(f"{folder.path} is no run folder: {_what_is_there(folder.path)}. Name that of {made_by}")
    values = read_yaml(folder.recipe)
    if not isinstance(values, dict):
        raise InputError(f"{folder.recipe} holds {type(values).__name__}, not the settings of a run")
    return values


def _what_is_there(path: Path) -> str:
    """Say what a path is that is no run folder, and where the run is that it belongs to."""
    above = next((one for one in path.parents if RunFolder(one).recipe.is_file()), None)
    if not path.exists():
        return "there is no such file or folder"
    what = "it has no recipe.yaml" if path.is_dir() else f"it is a file ({path.suffix or path.name})"
    return what if above is None else f"{what}, and lies in the run folder {above}"


def kind_of(settings: Mapping[str, Any]) -> type[AnyRecipe]:
    """Tell by its settings of which kind a run is."""
    return next((kind for kind in KINDS if kind.MARK in settings), Recipe)


def refuse_other_kind(settings: Mapping[str, Any], wanted: type[AnyRecipe], place: object) -> None:
    """Refuse a run, or a checkpoint, that does something else.

    Raises:
        InputError: what it does, and which commands make one that does what is wanted.
    """
    if (kind := kind_of(settings)) is not wanted:
        raise InputError(f"{place} {kind.DOES}: give the run folder of {wanted.MADE_BY}")


def recipe_in(folder: RunFolder, kind: type[Own]) -> Own:
    """Read the recipe of a run of the kind that is needed.

    Raises:
        InputError: there is no run, one of another kind, or one that another version has written.
    """
    settings = settings_in(folder, made_by=kind.MADE_BY)
    refuse_other_kind(settings, kind, folder.path)
    return from_dict(kind, settings)


def refuse_run_folder(path: Path, option: str) -> None:
    """Refuse to write other results into the folder of a run, whose report they would replace.

    Raises:
        InputError: it is one.
    """
    if RunFolder(path).recipe.is_file():
        raise InputError(f"{option} {path} is the folder of a run: results would mix with it. Name another one")


def root_of_manifest(manifest: Path) -> Path:
    """Return what the paths of a manifest are relative to: of a run's what its recipe says, else its own folder."""
    folder = RunFolder(manifest.parent)
    if manifest.name != folder.manifest.name or not folder.recipe.is_file():
        return manifest.parent
    try:
        settings = read_yaml(folder.recipe)
        data_root, own = (str(settings.get(name) or "") for name in ("data_root", "manifest"))
    except (InputError, AttributeError):
        return manifest.parent
    return Path(data_root) if data_root else Path(own).parent if own else manifest.parent


def _listing(path: Path) -> str:
    """List the files that stand: of a folder a hash of its names, so that one deleted image is noticed of thousands."""
    if path.is_dir():
        return digest(sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()))
    return "file" if path.is_file() else "absent"


def digest(*parts: Any) -> str:
    """Return a short hash of settings (anything JSON takes) and of files (a Path stands for its content)."""
    sha256 = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            sha256.update(part.read_bytes() if part.is_file() else b"absent")
        else:
            sha256.update(json.dumps(part, sort_keys=True, default=str).encode())
    return sha256.hexdigest()[:16]
