"""The size of the cache of prepared images and what is old in it; with a limit, what is beyond it is deleted.

    meddiff cache                        # look
    meddiff cache --older_than 30        # delete what nobody used for 30 days
    meddiff cache --larger_than 20       # delete the oldest until 20 GiB are left

Everything in it can be made again, or fetched again. What another process is building stays.
"""

from __future__ import annotations

from pathlib import Path

from meddiff.cache.store import default_folder
from meddiff.cache.upkeep import beyond, clear, entries, in_units
from meddiff.command_line import settings_command
from meddiff.jobs.progress import new_console
from meddiff.recipe.commands import Cache


def run(settings: Cache) -> None:
    """Print what is there and what went.

    Raises:
        InputError: there is no home folder and none is named.
    """
    console = new_console()
    folder = Path(settings.folder).expanduser() if settings.folder else default_folder()
    kept = entries(folder)
    size = in_units(sum(one.size for one in kept))
    console.print(f"{folder}: {size} in {len(kept)} entries", soft_wrap=True)
    for days in (1, 7, 30, 90):
        if old := [one for one in kept if one.age_days > days]:
            console.print(
                f"  not used for {days:>2} days: {in_units(sum(one.size for one in old))} in {len(old)} entries"
            )
    old = beyond(kept, days=settings.older_than, gibibytes=settings.larger_than)
    if settings.older_than is not None or settings.larger_than is not None:
        gone = clear(old)
        busy = f", {len(old) - len(gone)} are being built and stay" if len(gone) < len(old) else ""
        console.print(f"deleted {in_units(sum(one.size for one in gone))} in {len(gone)} entries{busy}")


main = settings_command(Cache, "cache", "[--<setting> VALUE ...]", __doc__, run)
