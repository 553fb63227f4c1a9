"""Serve a page on this machine alone that shows a run while it goes on: stages, losses, samples, validation.

    python -m meddiff.pipelines.watch runs/isic-quick
    python -m meddiff.pipelines.watch runs/segment-isic-quick --port 8000 --open

The page reads the run's folder every other second. A run that has not begun, that nobody works on any more, or that is
finished is said so. The address that is printed holds a secret. Ctrl-C ends the page, not the run.
"""

from __future__ import annotations

from meddiff.command_line import settings_command
from meddiff.jobs.progress import new_console
from meddiff.recipe.commands import Watch


def run(settings: Watch) -> None:
    """Open the page, and answer until it is stopped.

    Raises:
        InputError: a port that is taken, or a file where a run should be.
    """
    from meddiff.jobs.serve.local_server import LocalServer, serve
    from meddiff.jobs.serve.watched_run import RunSite

    serve(LocalServer(RunSite(settings.run), settings.port), new_console(), browse=settings.open)


main = settings_command(Watch, "watch", "RUN [--<setting> VALUE ...]", __doc__, run)

if __name__ == "__main__":
    raise SystemExit(main())
