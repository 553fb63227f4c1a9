"""Make a run's weights ready for others: half precision, model card, what they were trained on; no path of yours.

    python -m meddiff.pipelines.publish --run runs/segment-isic-quick --out nevi-masks --license cc-by-4.0

The folder is loaded by its path, from a folder or web server named in MEDDIFF_HUB, or from the Hugging Face hub once it
is uploaded there (huggingface-cli upload OWNER/NAME FOLDER): meddiff.load("OWNER/NAME").
"""

from __future__ import annotations

from pathlib import Path

from meddiff.command_line import settings_command
from meddiff.jobs.progress import new_console
from meddiff.recipe.commands import Publish


def run(settings: Publish) -> Path:
    """Write the folder, and print what is in it; returns the folder."""
    from meddiff.hub.publish import publish
    from meddiff.training.checkpoint import read

    folder = publish(settings)
    size = sum(file.stat().st_size for file in folder.iterdir())
    console = new_console()
    console.print(read(folder).about, soft_wrap=True)
    console.print(f"{size / 1e6:.1f} MB: {folder}", soft_wrap=True)
    if settings.license == "unknown":
        console.print("the license of the weights is unknown: say it with --license, or others may not use them",
                      soft_wrap=True)  # fmt: skip
    return folder


main = settings_command(Publish, "publish", "--run RUN --out FOLDER [--<setting> VALUE ...]", __doc__, run)

if __name__ == "__main__":
    raise SystemExit(main())
