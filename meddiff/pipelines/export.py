"""Take images and masks to other programs.

    python -m meddiff.pipelines.export nnunet RUN --out nnUNet_raw/Dataset501_Lesions    # real and synthetic cases
    python -m meddiff.pipelines.export dicom RUN --out FOLDER    # synthetic images as Secondary Capture

`export FORMAT --help` explains one format and its settings. A folder that is there is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from inspect import getdoc

from meddiff.command_line import parse_settings, verbs_command
from meddiff.jobs.progress import new_console
from meddiff.recipe.exports import FORMATS, Export


def export(name: str, kind: type[Export], words: list[str]) -> None:
    """Write one format."""
    usage = f"{getattr(kind, 'POSITIONAL', 'run').upper()} --out FOLDER [--<setting> VALUE ...]"
    settings = parse_settings(kind, f"export {name}", usage, getdoc(kind) or "", words)
    writer = import_module(f"meddiff.exports.{name}")  # torch takes seconds: not for --help
    console = new_console()
    for line in writer.write(settings, console):
        console.print(line, soft_wrap=True, highlight=False)


VERBS: dict[str, Callable[[list[str]], None]] = {name: partial(export, name, kind) for name, kind in FORMATS.items()}

main = verbs_command("export", __doc__, VERBS, example="export nnunet RUN --out FOLDER")

if __name__ == "__main__":
    raise SystemExit(main())
