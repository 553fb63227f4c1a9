"""A blinded reader study: one offline page of real and synthetic images in random order, and the scores of its readers.

All images come through one decoder at one size and are stored alike, so that neither size nor format tells which is
which; the page does not know, the key that lies beside it does.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image
from rich.console import Console
from rich.table import Table

import meddiff.reports
from meddiff.cache.image_array import decode
from meddiff.errors import InputError
from meddiff.evaluation.images.given import common_side, list_images
from meddiff.evaluation.images.readers import ANSWERS, KEY, reader_scores, study_of, verdict
from meddiff.files.long_tables import read_table, write_table
from meddiff.files.writing import output_folder, write_text
from meddiff.formats import is_deep
from meddiff.images.prepare import Transform
from meddiff.jobs.progress import bar, new_console
from meddiff.manifest.row import ManifestRow
from meddiff.metrics.resampling import Resampling
from meddiff.recipe.commands import ReaderScores, ReaderStudy
from meddiff.reports import words
from meddiff.run import refuse_run_folder
from meddiff.seeds import child_seed

PAGE, TRUTH, SCORES = "reader_study.html", "key.csv", "readers.csv"


def make(settings: ReaderStudy, console: Console | None = None) -> Path:
    """Write the page and, beside it, the key; returns the page.

    Raises:
        InputError: too few images, files that cannot be read, a folder that is a run, or one that holds a study.
    """
    console = console or new_console()
    out = output_folder(settings.out, [settings.real, settings.synthetic])
    refuse_run_folder(out, "--out")
    if (out / TRUTH).exists():
        raise InputError(f"{out} holds the key of a study already, whose answers it is needed for: name another --out")
    given = {
        "real": list_images(settings.real, labels=settings.labels, option="--real"),
        "synthetic": list_images(settings.synthetic, labels=settings.labels, option="--synthetic"),
    }
    rows, sources = drawn(given["real"], given["synthetic"], settings.images, settings.seed)
    deep = {is_deep(file) for file in {row.image_file for row in rows}}
    square = Transform(settings.size or common_side(rows), "crop", stretch=len(deep) > 1 or None)
    pixels = decode(rows, square, progress=bar(console, "reading", unit="images")).images
    name = hashlib.sha256(f"{settings.seed}".encode() + np.ascontiguousarray(pixels).tobytes()).hexdigest()[:10]
    labels = sorted({row.label for row in rows if row.label}) if settings.show_labels else []
    shown = [{"picture": _address(image), "label": (row.label or "") if labels else ""}
             for image, row in zip(pixels, rows, strict=True)]  # fmt: skip
    write_text(out / PAGE, _page(name, shown, settings.title))
    key = [
        dict(zip(KEY, (name, number, source, row.label, row.row_id, row.group, row.sha256), strict=True))
        for number, (row, source) in enumerate(zip(rows, sources, strict=True), start=1)
    ]
    write_table(pd.DataFrame(key, columns=list(KEY)), out / TRUTH)
    console.print(f"{out / PAGE}: {len(rows)} images of {square.image_size} px, half of them synthetic; it works "
                  "offline, and saves the answers of a reader as a CSV file", soft_wrap=True)  # fmt: skip
    console.print(f"{out / TRUTH}: which is which. Readers must not see it. Then: python -m meddiff.pipelines.evaluate "
                  f"readers ANSWERS.csv ... --key {out / TRUTH}", soft_wrap=True)  # fmt: skip
    return out / PAGE


def drawn(
    real: Sequence[ManifestRow], synthetic: Sequence[ManifestRow], images: int, seed: int
) -> tuple[list[ManifestRow], list[str]]:
    """Draw half of each, as many of every class where both tell it, in random order; returns rows and sources.

    Raises:
        InputError: too few of one kind.
    """
    generator = np.random.default_rng(child_seed(seed, "reader study"))
    half = images // 2
    pools = [_by_label(rows, generator, known=all(row.label for row in (*real, *synthetic))) for rows in
             (real, synthetic)]  # fmt: skip
    chosen: tuple[list[ManifestRow], list[ManifestRow]] = ([], [])
    while len(chosen[0]) < half:
        usable = [label for label in pools[0] if pools[0][label] and pools[1].get(label)]
        if not usable:
            raise InputError(
                f"the study needs {half} real and {half} synthetic images, of the same classes where they have some; "
                f"there are {len(chosen[0])} of each (of {len(real)} and {len(synthetic)}). Ask for fewer: --images "
                f"{2 * len(chosen[0])}" if chosen[0] else "the real and the synthetic images have no class in common"
            )  # fmt: skip
        for label in usable[: half - len(chosen[0])]:
            for pool, part in zip(pools, chosen, strict=True):
                part.append(pool[label].pop())
    both = [*((row, "real") for row in chosen[0]), *((row, "synthetic") for row in chosen[1])]
    mixed = [both[at] for at in generator.permutation(len(both))]
    return [row for row, _ in mixed], [source for _, source in mixed]


def _by_label(rows: Sequence[ManifestRow], generator: np.random.Generator, *, known: bool) -> dict[str, list]:
    pool: dict[str, list[ManifestRow]] = defaultdict(list)
    for at in generator.permutation(len(rows)):
        pool[(rows[at].label or "") if known else ""].append(rows[at])
    return dict(sorted(pool.items()))


def _address(image: np.ndarray) -> str:
    """Return a picture [3, S, S] as the address of a PNG without any word of where it came from."""
    image = np.asarray(image)
    shown = image if image.dtype == np.uint8 else (image // 257).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.moveaxis(shown, 0, -1))).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _page(study: str, shown: list[dict[str, str]], title: str) -> str:
    here = Path(meddiff.reports.__file__).parent
    environment = Environment(loader=FileSystemLoader(here), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    script = (here / "reader_study.js").read_text(encoding="utf-8")
    return environment.get_template("reader_study.html.jinja").render(
        title=title, study=study, count=len(shown), script=Markup(script),
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        images=_data(shown), columns=_data(ANSWERS),
    )  # fmt: skip


def _data(value: Any) -> Markup:
    """Return JSON that may stand in a script of a page: no name of a class ends it."""
    return Markup(json.dumps(value).replace("<", "\\u003c"))


def score(settings: ReaderScores, console: Console | None = None) -> pd.DataFrame:
    """Score the readers, write readers.csv, and print a table and the verdict.

    Raises:
        InputError: files that are no answers of this study.
    """
    console = console or new_console()
    key = read_table(Path(settings.key).expanduser(), KEY)
    answers = [read_table(Path(file).expanduser(), ANSWERS) for file in settings.answers]
    study = study_of(key, answers, settings.answers)
    scores = reader_scores(study, Resampling(settings.resamples, settings.confidence_level, settings.seed))
    out = output_folder(settings.out or str(Path(settings.key).parent), [])
    write_table(scores, out / SCORES)
    console.print(_table(scores, settings.confidence_level))
    console.print(verdict(scores), style="bold", soft_wrap=True)
    console.print(f"wrote {out / SCORES}", soft_wrap=True)
    return scores


def _table(scores: pd.DataFrame, level: float) -> Table:
    table = Table(title="Can readers tell synthetic images from real ones?", title_justify="left")
    for name in ("reader", "images", f"accuracy [{100 * level:g}%]", "p", "called so", "AUROC"):
        table.add_column(name)
    for line in scores.to_dict("records"):
        row: dict[str, Any] = {str(name): value for name, value in line.items()}
        called = f"{words.percent(row['sensitivity'])} of synthetic, {words.percent(1 - row['specificity'])} of real"
        span = words.interval(row["low"], row["high"])
        table.add_row(row["reader"], str(row["images"]), f"{words.number(row['accuracy'])} {span}",
                      words.p_value(row["p"]), called, words.number(row["auroc"]))  # fmt: skip
    return table
