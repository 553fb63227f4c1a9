"""The pages of `meddiff serve`: a network that segments what is sent to it, or one that draws.

Both are `meddiff.load`'s, and are asked as programs ask them. One network call runs at a time; who asks meanwhile
waits.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

import meddiff.reports
from meddiff.errors import InputError
from meddiff.files.unpack import is_archive, unpacked
from meddiff.files.writing import in_plain_words
from meddiff.formats.find import Found, find, join_channels
from meddiff.formats.nifti import save_volume
from meddiff.hub.place import choices, folder_of
from meddiff.images.intensity import to_pixels
from meddiff.images.views import tile
from meddiff.inference.sampling import ImageDenoiser
from meddiff.jobs.segment.predict import Masks
from meddiff.jobs.serve.local_server import LARGEST_BYTES, Body, Reply, Site, StatusError, in_lines, receive
from meddiff.jobs.serve.shown_masks import ShownMasks, kept, png, shown
from meddiff.quickstart import generate
from meddiff.recipe import of_volumes
from meddiff.recipe.commands import Predict
from meddiff.run import RunFolder
from meddiff.trained import TrainedModel, load

MOST_IMAGES = 64
"""Images of one request that are segmented, or drawn."""
MOST_KEPT_BYTES = 2 << 30
"""Of answers in memory; the eldest go, their page then says so."""
REPORTS = Path(meddiff.reports.__file__).parent


@dataclass(frozen=True)
class Limit:
    """The numbers that a field of the page takes."""

    low: float
    high: float
    whole: bool = True

    def of(self, values: Mapping[str, Any], name: str) -> Any:
        """Return a number that was sent.

        Raises:
            InputError: it is none, or outside.
        """
        value = values.get(name)
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        if not self.low <= number <= self.high or (self.whole and not number.is_integer()):
            kind = "a whole number" if self.whole else "a number"
            raise InputError(f"{name} is {str(value)[:40]!r}: give {kind} from {self.low:g} to {self.high:,g}")
        return int(number) if self.whole else number


LIMITS = {
    "members": Limit(1, 64), "steps": Limit(1, 1000), "count": Limit(1, MOST_IMAGES), "seed": Limit(0, 2**53 - 1),
    "guidance": Limit(0, 20, whole=False),
}  # fmt: skip


def _limits() -> dict[str, dict[str, Any]]:
    return {name: asdict(one) for name, one in LIMITS.items()}


def page(kind: str, title: str, facts: Mapping[str, Any]) -> dict[str, Reply]:
    """Fill in the page of a kind of site, ``masks``, ``images`` or ``watch``: its files by their paths."""
    environment = Environment(loader=FileSystemLoader(REPORTS), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    data = Markup(json.dumps({"kind": kind, **facts}).replace("<", "\\u003c"))
    filled = environment.get_template("serve.html.jinja").render(kind=kind, title=title, facts=facts, data=data)
    return {
        "": Reply(filled.encode(), "text/html; charset=utf-8"),
        "page.css": Reply((REPORTS / "page.css").read_bytes(), "text/css; charset=utf-8"),
        "serve.js": Reply((REPORTS / "serve.js").read_bytes(), "text/javascript; charset=utf-8"),
    }


def values_of(body: Body, longest: int = 1 << 16) -> dict[str, Any]:
    """Read a request that is nothing but JSON.

    Raises:
        InputError: it is something else, or longer than any of ours.
    """
    try:
        values = json.loads(body.part(longest + 1))
    except (ValueError, RecursionError) as error:
        raise InputError("a request is an object of JSON") from error
    if not isinstance(values, dict) or body.length > longest:
        raise InputError("a request is an object of JSON")
    return values


class MaskSite:
    """Segments pictures, volumes and series that are sent, and keeps the last answers to be looked at."""

    def __init__(self, place: str, name: str) -> None:
        self._load = lru_cache(maxsize=2)(lambda **settings: _masks_model(place, name, **settings))
        self._place, self._name, self._lock = place, name, Lock()
        self._answers: dict[int, ShownMasks] = {}
        self._next = 0
        model = self._load()
        recipe, folder = model.recipe, RunFolder(folder_of(place))
        self._pages = page("masks", f"Segment with {Path(place).name}", {
            "about": f"{model.about[:1].upper()}{model.about[1:]}" or repr(model),
            "takes": "volumes" if of_volumes(recipe) else "pictures",
            "members": recipe.inference.members if name == "diffusion" else 1, "steps": recipe.inference.steps,
            "draws": name == "diffusion", "judges": model.likeness is not None, "phantom": folder.phantom.is_dir(),
            "largest": LARGEST_BYTES, "most": MOST_IMAGES, "limits": _limits(),
            "command": f"meddiff segment predict --checkpoint {place} --input YOUR_IMAGES --output masks --save_maps",
        })  # fmt: skip

    def get(self, path: str) -> Reply | None:
        """Return the page; a plane of an answer, ``answers/3/mask-0/17.png``; its mask, ``answers/3/file``."""
        if path in self._pages:
            return self._pages[path]
        parts = path.split("/")
        if parts[0] != "answers" or len(parts) not in (3, 4) or not parts[1].isdecimal() or len(parts[1]) > 9:
            return None
        answer = self._answers.get(int(parts[1]))
        if answer is None:
            raise StatusError(410, "this answer is not kept any more: segment the image again")
        if len(parts) == 3:
            name, content = answer.file()
            return Reply(content, "application/octet-stream", name) if parts[2] == "file" else None
        plane = parts[3].removesuffix(".png")
        drawn = answer.png(parts[2], int(plane)) if plane.isdecimal() and len(plane) < 9 else None
        return None if drawn is None else Reply(drawn, "image/png")

    def post(self, path: str, body: Body) -> Reply | None:
        """Segment what is sent to ``segment``: a line per image as it is done."""
        if path != "segment":
            return None
        lines = self._segmented(body)
        first = next(lines)  # what cannot be read at all is refused with a status
        return in_lines(chain([first], lines))

    def _segmented(self, body: Body) -> Iterator[dict[str, Any]]:
        """Yield how many images were sent, then what came of each; their files are gone at the end."""
        with tempfile.TemporaryDirectory(prefix="meddiff-") as name, in_plain_words(folder := Path(name)):
            values = receive(body, folder)
            settings = {name: LIMITS[name].of(values, name) for name in ("members", "steps") if name in values}
            with self._lock, unpacked(_archive_in(folder) or folder) as place:
                asked = Predict(input=str(place), output="", save_maps=True, save_members=True, model=self._name)
                masks, inputs = Masks.of(asked, self._load(**settings)), _inputs(place)
                yield {"inputs": len(inputs)}
                for one in inputs[:MOST_IMAGES]:
                    yield self._one(masks, one, place, folder)

    def _one(self, masks: Masks, one: Found, *places: Path) -> dict[str, Any]:
        began = time.monotonic()
        try:
            answer = shown(masks, one)
        except InputError as error:
            return {"name": one.stem, "problem": _without(str(error), *places)}
        return {"id": self._keep(answer), "seconds": round(time.monotonic() - began, 1), **answer.facts()}

    def _keep(self, answer: ShownMasks) -> int:
        self._next += 1
        self._answers[self._next] = answer
        for former in list(self._answers)[: -kept(list(self._answers.values()), MOST_KEPT_BYTES)]:
            del self._answers[former]
        return self._next


def _masks_model(place: str, name: str, **settings: int) -> TrainedModel:
    model = load(place, model=name, **settings)
    assert isinstance(model, TrainedModel)
    return model


def _archive_in(folder: Path) -> Path | None:
    """Return the zip archive that was sent alone."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return files[0] if len(files) == 1 and is_archive(files[0]) else None


def _inputs(place: Path) -> list[Found]:
    """List what can be segmented.

    Raises:
        InputError: there is nothing.
    """
    every = [one for one in join_channels(find(place)) if one.kind != "other"]
    inputs = [one for one in every if one.series is None or one.series.is_image]
    if not inputs:
        raise InputError(
            "this is no image: send a picture (PNG, JPEG, TIFF, BMP), a volume (NIfTI, NRRD, MetaImage), the files of "
            "a DICOM series, or a zip archive of them"
        )
    return inputs


def _without(sentence: str, *folders: Path) -> str:
    """Name files as they were sent, not where they lie for a moment."""
    for folder in folders:
        for place in sorted(folder.glob("*"), reverse=True):
            sentence = sentence.replace(f"{place}/", "")
        sentence = sentence.replace(f"{folder}/", "").replace(str(folder), "the upload")
    return sentence


class ImageSite:
    """Draws images by class, seed and guidance."""

    def __init__(self, place: str, model: ImageDenoiser) -> None:
        self._model, self._place, self._lock = model, place, Lock()
        self._drawn: bytes = b""
        self._pages = page("images", f"Draw with {Path(place).name}", {
            "about": repr(model), "classes": list(model.class_names), "steps": model.drawing.steps,
            "guidance": model.drawing.guidance, "attributes": [asdict(one) for one in model.attributes.each],
            "untold": model.drawing.classifier is None, "phantom": RunFolder(folder_of(place)).phantom.is_dir(),
            "limits": _limits(),
        })  # fmt: skip

    def get(self, path: str) -> Reply | None:
        """Return the page, or all that was drawn last as an archive, ``drawn.zip``."""
        if path == "drawn.zip" and self._drawn:
            return Reply(self._drawn, "application/zip", "drawn.zip")
        return self._pages.get(path)

    def post(self, path: str, body: Body) -> Reply | None:
        """Draw what is sent to ``draw``: a line per image as it is drawn."""
        if path != "draw":
            return None
        values = values_of(body)
        asked = {name: LIMITS[name].of(values, name) for name in ("count", "seed", "guidance", "steps")}
        label, described = values.get("label"), values.get("attributes", {})
        if not isinstance(described, dict) or not isinstance(label, str | None):
            raise InputError("a class is a text, and attributes are named")
        self._model.condition([label], [described])  # refuses what it does not know, before anything is drawn
        return in_lines(self._images(label, described, **asked))

    def _images(
        self, label: str | None, described: dict[str, Any], *, count: int, seed: int, guidance: float, steps: int
    ) -> Iterator[dict[str, Any]]:
        """Draw images one by one, so that each is what `meddiff.generate` draws of its seed alone."""
        table, archive = io.StringIO(), io.BytesIO()
        columns = ["file", "label", "seed", "guidance", "steps", "generator", *self._model.attributes.names]
        lines = csv.DictWriter(table, columns, lineterminator="\n")
        lines.writeheader()
        common = {"label": label or "", "guidance": guidance, "steps": steps, **described}
        common["generator"] = f"meddiff {meddiff.__version__} {self._place}"
        with self._lock, zipfile.ZipFile(archive, "w") as files:
            for number in range(seed, seed + count):
                (image,) = generate(self._model, [label], [number], told=described, guidance=guidance, steps=steps)
                drawn = image.numpy()
                content, suffix = _file_of(drawn)
                name = f"synthetic_{number}{suffix}"
                files.writestr(name, content)
                lines.writerow({"file": name, "seed": number, **common})
                shown = png(tile(drawn))
                yield {"seed": number, "name": name, "picture": _address(shown, "image/png"),
                       "file": _address(content, "application/octet-stream")}  # fmt: skip
            files.writestr("images.csv", table.getvalue())
        self._drawn = archive.getvalue()
        yield {"archive": "drawn.zip"}


def _file_of(image: np.ndarray) -> tuple[bytes, str]:
    """Return what is saved of an image in [-1, 1], 8 bits deep, and its suffix: PNG of a picture, NIfTI of a volume."""
    if image.ndim == 3:
        return png(to_pixels(image)), ".png"
    with tempfile.TemporaryDirectory(prefix="meddiff-") as folder:
        path = Path(folder) / "volume.nii.gz"
        save_volume(to_pixels(image), path, affine=None)
        return path.read_bytes(), ".nii.gz"


def _address(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def site_of(place: str, name: str) -> Site:
    """Load a run, and return what is shown of it.

    Raises:
        InputError: no run, or one that neither segments nor draws.
    """
    makers: dict[type, Callable[[Any], Site]] = {
        TrainedModel: lambda _: MaskSite(place, name),
        ImageDenoiser: lambda model: ImageSite(place, model),
    }
    model = load(place, model=name)
    if type(model) not in makers:
        raise InputError(
            f"{place} neither segments nor draws: serve takes a run of `segment` or `train`, or {choices()}"
        )
    return makers[type(model)](model)
