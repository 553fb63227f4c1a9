"""The work of `edit`: the edited pictures of one input and its line of edits.csv."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

import meddiff
from meddiff.errors import InputError
from meddiff.formats import Picture, read_picture, save_image
from meddiff.formats.find import Found
from meddiff.images.case import case_of_picture
from meddiff.images.views import as_gray, as_rgb, grid_image
from meddiff.inference.editing import Editor
from meddiff.jobs.apply.ledger import OVERVIEW, Ledger, Line, Product, Task
from meddiff.jobs.apply.work import Maker
from meddiff.jobs.edit.holes import Holes
from meddiff.jobs.edit.own_grid import change_between, changed, with_hole_filled
from meddiff.jobs.generate.filter import judge_of
from meddiff.jobs.segment.overlay import outlined, squared
from meddiff.networks.classifier import Classifier
from meddiff.recipe import to_dict
from meddiff.recipe.generators import Edit
from meddiff.run import Run, digest
from meddiff.samplers.given.repaint import Jumps
from meddiff.seeds import child_seed
from meddiff.trained import TrainedGenerator
from meddiff.training.fabric import build_fabric

EDIT = Product("edit", "edit", "editing", "edited", r"member_\d+", table_name="edits.csv")
STEPS = 50
"""Where the command is not told: jumps need some to go back over."""
AT_ONCE = 8
"""Members in a call of the network."""
SHOWN, ROWS = 4, 24
"""Members in a strip, strips on a sheet."""


@dataclass(frozen=True)
class Edits(Maker):
    """The edits of pictures by a trained generator, by the settings of the command."""

    settings: Edit
    generator: TrainedGenerator
    editor: Editor
    label: int
    own_label: int
    holes: Holes
    judge: Classifier | None = None
    """The run's classifier of real images; None where it has none."""

    @classmethod
    def of(cls, settings: Edit, generator: TrainedGenerator) -> Edits:
        """Hold the settings to what the generator knows.

        Raises:
            InputError: a class that it does not know, one of volumes, a box that is none, no masks.
        """
        if generator.recipe.dimensions == 3:
            raise InputError(f"{settings.checkpoint} draws volumes, and edit works on pictures: give a run of pictures")
        device = build_fabric().device
        drawing = replace(generator.model.drawing, steps=settings.steps or STEPS)
        drawing = drawing if settings.guidance is None else replace(drawing, guidance=settings.guidance)
        editor = Editor(generator.model, drawing, device)
        judge, folder = None, generator.folder
        if folder.classifier.is_file():
            judge = judge_of(Run(generator.recipe, folder), generator.model).to(device).eval()
        return cls(
            settings, generator, editor, editor.number("label", settings.label),
            editor.number("own_label", settings.own_label), Holes.of(settings), judge,
        )  # fmt: skip

    @cached_property
    def digest(self) -> str:
        """Digest of all that the outputs depend on beside the pictures: another one makes them anew."""
        elsewhere = ("checkpoint", "input", "output", "series", "on_bad_file", "save_overlays", "mask")
        asked = {name: value for name, value in asdict(self.settings).items() if name not in elsewhere}
        generator = self.generator
        return digest(meddiff.__version__, generator.weights, to_dict(generator.recipe), asked, self.holes.contents)

    def make(self, task: Task, ledger: Ledger) -> Line:
        """Edit a picture and write what comes of it; returns its line."""
        picture = _read(task.image)
        hole = self.holes.in_picture(picture, task.image)
        seeds = [child_seed(self.settings.seed, "edit", task.image.stem, m) for m in range(self.settings.members)]
        if hole is not None and not hole.any():
            results, note = [picture.pixels] * len(seeds), f"no {self.settings.remove or 'hole'} seen: left as it was"
        else:
            results, note = self._edited(picture, hole, seeds), ""
        suffix = ".png" if picture.pixels.dtype in (np.uint8, np.uint16) else ".nii.gz"
        files = [f"{task.name}_edit{suffix}"]
        files += [f"{task.name}_member_{number:02d}{suffix}" for number in range(1, len(seeds))]
        for file, pixels in zip(files, results, strict=True):
            save_image(pixels, ledger.folder / file)
        if self.settings.save_overlays:
            save_image(_strip(picture, hole, results), ledger.folder / f"{task.name}_overlay.png")
        return self._line(picture, hole, results, seeds) | {"edit": files[0], "note": note}

    def finish(self, ledger: Ledger) -> None:
        """Write the sheet of all pictures beside their edits."""
        files = [ledger.folder / f"{name}_overlay.png" for name, line in ledger.lines.items()
                 if not line["problem"] and not line.get("stale")]  # fmt: skip
        strips = [np.asarray(Image.open(file)) for file in files if file.is_file()][:ROWS]
        if self.settings.save_overlays and strips:
            alike = [strip for strip in strips if strip.shape == strips[0].shape]
            save_image(grid_image(alike, 1, 1), ledger.folder / OVERVIEW)

    def tell(self, ledger: Ledger, console: Console) -> None:
        """Print by whom the classes in the table are named."""
        if self.judge is None and self.settings.label:
            console.print("whether the edits are of the class that was asked for cannot be said: the run has no "
                          "classifier, which `classify` and `augment` train", soft_wrap=True)  # fmt: skip

    def _edited(self, picture: Picture, hole: np.ndarray | None, seeds: list[int]) -> list[np.ndarray]:
        settings, transform, editor = self.settings, self.generator.transform, self.editor
        shared: dict[str, Any] = {"members": len(seeds), "feather": settings.feather}
        if settings.method == "inpaint":
            assert hole is not None

            def inpaint(images: Tensor, opened: Tensor) -> Tensor:
                return _by_few(images, seeds, lambda some, own: editor.inpaint(
                    some, opened, self.label, own, jumps=Jumps(settings.jump, settings.passes)
                ))  # fmt: skip

            return with_hole_filled(picture, hole, transform, inpaint, **shared)

        def change(images: Tensor) -> Tensor:
            if settings.method == "sdedit":
                return _by_few(images, seeds, lambda some, own: editor.sdedit(
                    some, self.label, own, strength=settings.strength
                ))  # fmt: skip
            return editor.relabel(
                images, self.own_label, self.label, strength=settings.strength, refinements=settings.refinements
            )

        return changed(picture, hole, transform, change, **shared)

    def _line(self, picture: Picture, hole: np.ndarray | None, results: list[np.ndarray], seeds: list[int]) -> Line:
        moved = np.mean([change_between(picture, result) for result in results], axis=0)
        inside = np.ones(picture.size, dtype=bool) if hole is None else hole
        settings, drawing = self.settings, self.editor.drawing
        line: Line = {
            "method": settings.method, "label": settings.label, "own_label": settings.own_label,
            "strength": "" if settings.method == "inpaint" else settings.strength, "steps": drawing.steps,
            "guidance": drawing.guidance, "seeds": " ".join(map(str, seeds)),
            "changed_share": round(float(inside.mean()), 5), "change_inside": _mean(moved[inside]),
            "change_outside": _mean(moved[~inside]),
        }  # fmt: skip
        return line | (_judged(self, self.judge, picture, results) if self.judge else {})


def _judged(edits: Edits, judge: Classifier, picture: Picture, results: list[np.ndarray]) -> Line:
    """Say what the run's classifier calls a picture before and after."""
    names, wanted, transform = edits.generator.model.class_names, edits.settings.label, edits.generator.transform
    shown = [picture, *(replace(picture, pixels=pixels) for pixels in results)]
    images = np.stack([case_of_picture("picture", one, transform).image for one in shown])
    with torch.inference_mode():
        said = torch.softmax(judge(torch.from_numpy(images).to(edits.editor.device)).double(), 1).cpu().numpy()
    before, *after = [names[index] for index in said.argmax(1)]
    line: Line = {"class_before": before, "class_after": " ".join(after)}
    if not wanted:
        return line
    p_before, *p_after = said[:, edits.label].tolist()
    flipped = sum(name == wanted != before for name in after) / len(after)
    return line | {"p_before": round(p_before, 4), "p_after": _mean(np.array(p_after)), "flipped": round(flipped, 4)}


def _read(one: Found) -> Picture:
    """Read a picture, or a DICOM file or other volume of a single slice.

    Raises:
        InputError: it cannot be read, or is a volume of several slices.
    """
    if len(one.files) > 1:
        raise InputError(f"{one.path} and {len(one.files) - 1} more files are a volume, and edit works on pictures")
    return read_picture(one.path)


def _by_few(images: Tensor, seeds: list[int], edit: Callable[[Tensor, list[int]], Tensor]) -> Tensor:
    """Edit a few members at a time."""
    parts = [slice(start, start + AT_ONCE) for start in range(0, len(seeds), AT_ONCE)]
    return torch.cat([edit(images[part], seeds[part]) for part in parts])


def _strip(picture: Picture, hole: np.ndarray | None, results: list[np.ndarray]) -> np.ndarray:
    """Draw a picture, what is changed in it, and what came of it, side by side."""
    shown = [as_rgb(as_gray(pixels, picture.pixels)) for pixels in (picture.pixels, *results[:SHOWN])]
    before, *after = [squared(Image.fromarray(one)) for one in shown]
    marked = np.zeros(picture.size, np.uint8) if hole is None else hole.astype(np.uint8) * 255
    where = outlined(before, squared(Image.fromarray(marked))[..., 0] > 127)
    return grid_image([before, where, *after], 2 + SHOWN, 1)


def _mean(values: np.ndarray) -> float | str:
    return round(float(values.mean()), 6) if values.size else ""
