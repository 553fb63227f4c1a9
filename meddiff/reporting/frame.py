"""What every report's page is built with: the template filled in, the scripts, the library of the figures, pictures.

Class names, paths and reasons come from other people's files: the templates escape all of them, and the page's
content security policy allows no script but ours (by their hashes) and no request at all.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from meddiff.images.views import png_data_uri

HERE = Path(__file__).parent
THUMBNAIL = 128  # CSS pixels: four times a 32-pixel image, twice a 64-pixel one
SCRIPTS = ("report.js", "lightbox.js", "plots.js")


@dataclass(frozen=True)
class Picture:
    """A PNG with what is said of it; `width` and `height` are its size on the page in CSS pixels."""

    uri: str
    alt: str
    width: int
    height: int
    pixelated: bool
    caption: str = ""


def fill_in(template: str, **content: Any) -> str:
    """A template with its content, the style and the only scripts that the page's security policy lets run.

    Every page needs ``sections`` (anchor and title of each) and ``report`` (with title, headline and phantom).
    """
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script = "".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    library, packed = plotly_library()
    return environment.get_template(template).render(
        style=Markup((HERE / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_digests=[_sha256(script), library],
        plotly=Markup(packed),
        **content,
    )


@cache
def plotly_library() -> tuple[str, str]:
    """The digest of plotly.js, and the library packed by gzip as letters: 2 of its 5 MB."""
    from plotly.offline import get_plotlyjs  # a page alone needs it

    text = get_plotlyjs()
    return _sha256(text), base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def picture(image: np.ndarray, alt: str, caption: str = "") -> Picture:
    """Small images are shown at a whole multiple of their size with hard pixels, large ones at THUMBNAIL pixels."""
    height, width = image.shape[:2]
    longest = max(height, width)
    factor = THUMBNAIL // longest if longest <= THUMBNAIL else THUMBNAIL / longest
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return Picture(png_data_uri(image), alt, *size, longest <= THUMBNAIL, caption)
