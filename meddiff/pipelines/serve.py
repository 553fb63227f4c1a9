"""Serve a page on this machine alone, where one sends images and sees their masks, or draws images.

    python -m meddiff.pipelines.serve dermoscopy-masks        # skin lesions: no training needed
    python -m meddiff.pipelines.serve runs/segment-isic-quick
    python -m meddiff.pipelines.serve runs/isic-quick --port 8000 --open

A run that segments takes pictures, volumes (NIfTI, NRRD, MetaImage), DICOM files, folders and zip archives, and shows
mask, members, uncertainty and whether the image is unlike those of training. A generator draws by class, seed, guidance
and what it was taught of age, sex and the like. The address that is printed holds a secret; nothing leaves the machine,
and what is sent lies in a temporary folder while it is worked on. Ctrl-C ends it.
"""

from __future__ import annotations

from meddiff.command_line import settings_command
from meddiff.jobs.progress import new_console
from meddiff.recipe.commands import Serve


def run(settings: Serve) -> None:
    """Open the page, and answer until it is stopped.

    Raises:
        InputError: no run, one that neither segments nor draws, a port that is taken.
    """
    from meddiff.jobs.serve.local_server import LocalServer, serve
    from meddiff.jobs.serve.sites import site_of

    serve(LocalServer(site_of(settings.run, settings.model), settings.port), new_console(), browse=settings.open)


main = settings_command(Serve, "serve", "[RUN_OR_NAME] [--<setting> VALUE ...]", __doc__, run)

if __name__ == "__main__":
    raise SystemExit(main())
