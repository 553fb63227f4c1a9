"""The work of `translate predict` where images are drawn by masks: pictures or volumes of each label map of a user.

A label map is read by what the values of the run's masks mean and brought onto the grid that the network learned on.
The mask is written beside what was drawn by it, with the values that the run's own masks have, and manifest.csv lists
both: pairs to train on.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import meddiff
from meddiff.errors import InputError
from meddiff.files.bad import bad_file
from meddiff.files.content import sha256_of
from meddiff.formats import save_image
from meddiff.formats.find import Found
from meddiff.formats.masks import MaskMeaning, read_stored, stored_volume
from meddiff.formats.masks.meaning import read_meaning, stored_values
from meddiff.formats.nifti import save_volume
from meddiff.images.intensity import to_pixels
from meddiff.images.square import place, resize_mask
from meddiff.images.working_grid import WorkingGrid, standing_free, working_grid
from meddiff.jobs.apply.ledger import Ledger, Line, Product, Task
from meddiff.jobs.translate.predict import IMAGE, Translated
from meddiff.manifest.row import COLUMNS, ManifestRow
from meddiff.manifest.table import write_manifest
from meddiff.recipe import of_volumes
from meddiff.recipe.commands import Translation
from meddiff.recipe.translate import TranslateRecipe
from meddiff.run import RunFolder, recipe_in
from meddiff.seeds import child_seed
from meddiff.tasks.label_map import LabelMap

PAIR = Product(
    noun="member", verb="draw", doing="drawing", done="drawn", beside=r"mask|member_\d+", score="spread",
    table_name="drawn.csv",
)  # fmt: skip
"""The products of a label map: NAME_mask.png on the network's grid and NAME_member_00.png ..., or NIfTI volumes."""
MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class DrawnPairs(Translated):
    """A network of a run, with which images are drawn of masks."""

    @cached_property
    def meaning(self) -> MaskMeaning:
        """The meaning of the values of the run's masks.

        Raises:
            InputError: the run has lost it.
        """
        return read_meaning(RunFolder(Path(self.settings.checkpoint).expanduser()).mask_values)

    @property
    def how(self) -> str:
        """Version, weights and settings that draw the images, as their rows name them."""
        drawing = self.recipe.inference
        return (
            f"meddiff {meddiff.__version__} checkpoint={self.weights} model={self.settings.model} "
            f"sampler={drawing.sampler} steps={drawing.steps} guidance={drawing.guidance:g} by=mask"
        )

    def make(self, task: Task, ledger: Ledger) -> Line:
        """Draw images of a label map, and write them and it.

        Raises:
            InputError: it cannot be read, or holds what is no class of the run's masks.
        """
        classes, grid = self._classes(task.image)
        shown = self._shown_mask(classes, task.image)
        if of_volumes(self.recipe) and self.recipe.dimensions == 2:
            members = self._slices(shown, task.image, task.name)
        else:
            members = self._members(shown, task.name)
        mask = self._save(stored_values(classes, self.meaning), f"{task.name}_mask", ledger, grid)
        deep = np.dtype(self.pixel_dtype)
        files = [self._save(to_pixels(member, deep), f"{task.name}_member_{number:02d}", ledger, grid)
                 for number, member in enumerate(members)]  # fmt: skip
        line = self._line(members, files[0])
        return {"spread": line["spread"], "member": files[0], "members": len(files), "mask": mask}

    def finish(self, ledger: Ledger) -> None:
        """List the pairs of all label maps, drawn now or before."""
        rows = [row for name, line in ledger.lines.items() if line.get("member") and not line["problem"]
                for row in self._rows(name, line, ledger.folder)]  # fmt: skip
        if rows:
            write_manifest(rows, ledger.folder / MANIFEST, root=ledger.folder)

    def _rows(self, name: str, line: Line, folder: Path) -> list[ManifestRow]:
        """Return the row of each image of a label map: they stay together where rows are split."""
        known: dict[str, Any] = dict.fromkeys(COLUMNS) | {
            "dataset": self.recipe.dataset, "lesion_id": f"drawn of {name}", "mask_path": line["mask"],
            "source": "synthetic", "split": "train", "generator": self.how,
        }  # fmt: skip
        stem, _, end = line["member"].rpartition("_member_00.")
        files = [f"{stem}_member_{number:02d}.{end}" for number in range(int(line["members"]))]
        return [
            ManifestRow(
                **known | {
                    "row_id": f"{name}-{number:02d}", "image_path": file, "sha256": sha256_of(folder / file),
                    "seed": child_seed(self.recipe.seed, "member", name, number),
                },
                root=folder,
            )
            for number, file in enumerate(files)
        ]  # fmt: skip

    def _classes(self, one: Found) -> tuple[np.ndarray, WorkingGrid | None]:
        """Read a label map as class indices uint8 [*S] on the grid that the network learned on, and that of volumes."""
        if (one.kind == "picture") == of_volumes(self.recipe):
            kinds = ("a picture", "volumes") if one.kind == "picture" else ("a volume", "pictures")
            raise InputError(f"{one.path}: this is {kinds[0]}, but the network was trained on {kinds[1]}")
        if one.kind == "picture":
            classes = self.meaning(read_stored(one.path))
            placement = place(classes.shape[0], classes.shape[1], self.recipe.data.image_size, fit=self.recipe.data.fit)
            return resize_mask(classes, placement), None
        volume = one.read()
        grid = working_grid(volume, self.recipe.volume.spacing_mm, name=one.path)
        return grid.labels_to_working(self.meaning(stored_volume(volume, one.path))), grid

    def _shown_mask(self, classes: np.ndarray, one: Found) -> Tensor:
        """Return what is shown to the network [K, *S]."""
        task = self.translator.task
        assert isinstance(task, LabelMap)
        if (beyond := classes[classes < 255].max(initial=0)) >= task.num_classes:
            raise bad_file(one.path, f"it holds the class {beyond}, and the run knows {task.num_classes}")
        return task.shown(torch.from_numpy(classes.astype(np.int64))[None])[0]

    def _save(self, values: np.ndarray, stem: str, ledger: Ledger, grid: WorkingGrid | None) -> str:
        """Write a picture, or a volume on its working grid; return its path in the folder."""
        file = f"{stem}.png" if grid is None else f"{stem}.nii.gz"
        if grid is None:
            save_image(values, ledger.folder / file)
        else:
            mm = grid.spacing_mm
            free = None if None in mm else standing_free(mm, grid.shape)  # type: ignore[arg-type]
            save_volume(values, ledger.folder / file, affine=free if grid.affine is None else grid.affine)
        return file


def maker_of(settings: Translation) -> tuple[Translated, Product]:
    """Load what makes images of what a user gives, and what its products are called: of images, or of label maps.

    Raises:
        InputError: as `Translated.of`; guidance of a run that has none.
    """
    by_masks = recipe_in(RunFolder(Path(settings.checkpoint).expanduser()), TranslateRecipe).by_masks
    if settings.guidance is not None and not by_masks:
        raise InputError("--guidance is of runs that draw images by masks, and this one does not: leave it out")
    kind, product = (DrawnPairs, PAIR) if by_masks else (Translated, IMAGE)
    return kind.of(settings), product
