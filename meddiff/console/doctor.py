"""Versions, processor and GPU with their speed, memory, disk, cache and optional packages of this machine.

    meddiff doctor

Nothing is changed. Send its lines along with a question.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil

from meddiff.cache.store import default_folder
from meddiff.cache.upkeep import entries, in_units
from meddiff.command_line import settings_command
from meddiff.errors import InputError
from meddiff.jobs.progress import new_console
from meddiff.recipe.commands import Doctor

SIDE = 1536
"""Rows of the matrices whose product is timed."""
_EXTRA = re.compile(r"^([\w.-]+).*extra\s*==\s*['\"](\w+)['\"]")


def facts() -> Iterator[tuple[str, str]]:
    """Yield the name and the value of each thing that a run depends on; speeds are measured, in under a second."""
    from meddiff.hub.place import HUB  # torch takes seconds to import: not for --help
    from meddiff.jobs.run_facts import versions

    made_with = versions("torch", "monai", "lightning-fabric", "numpy", "pydicom", "SimpleITK", "nibabel")
    yield "versions", ", ".join(f"{name} {number}" for name, number in made_with.items())
    yield "system", f"{platform.system()} {platform.release()} {platform.machine()}"
    memory = psutil.virtual_memory()
    yield "processor", f"{os.cpu_count()} cores, {_speed('cpu')}"
    yield "memory", f"{in_units(memory.total)}, {in_units(memory.available)} free"
    yield from _gpus()
    yield "disk", f"{in_units(shutil.disk_usage('.').free)} free in {Path.cwd()}"
    yield "cache", _cache()
    yield "weights", f"{HUB} is {os.environ[HUB]}" if os.environ.get(HUB) else f"of the package ({HUB} is not set)"
    for extra, missing in extras().items():
        yield f"[{extra}]", f"missing {', '.join(missing)}: pip install 'meddiff[{extra}]'" if missing else "complete"


def _gpus() -> Iterator[tuple[str, str]]:
    import torch

    if not torch.cuda.is_available():
        why = (
            f"torch {torch.__version__} was built without CUDA" if torch.version.cuda is None else "no driver or device"
        )
        yield "GPU", f"none ({why}): presets are quick, a run of standard says how many days it takes"
    for number in range(torch.cuda.device_count()):
        of = torch.cuda.get_device_properties(number)
        speed = _speed(f"cuda:{number}")
        yield "GPU", f"{of.name}, {in_units(of.total_memory)}, compute capability {of.major}.{of.minor}, {speed}"


def _speed(device: str) -> str:
    """Return how fast matrices are multiplied, in the arithmetic that ``training.precision auto`` takes."""
    import torch

    from meddiff.training.fabric import has_bf16

    kind = torch.bfloat16 if has_bf16(device.partition(":")[0]) else torch.float32
    one = torch.ones(SIDE, SIDE, dtype=kind, device=device)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        (one @ one)[0, 0].item()  # waits for a GPU
        seconds.append(time.perf_counter() - started)
    rate = 2 * SIDE**3 / min(seconds) / 1e12
    return f"{rate:.2g} teraflop/s in {str(kind).removeprefix('torch.')}"


def _cache() -> str:
    try:
        folder = default_folder()
    except InputError as error:
        return str(error)
    kept = entries(folder)
    return (
        f"{folder}: {in_units(sum(one.size for one in kept))} in {len(kept)} sets; `meddiff cache` clears what is old"
    )


def extras() -> dict[str, list[str]]:
    """List the packages that each extra of meddiff would add here."""
    missing: dict[str, list[str]] = {}
    for match in filter(None, map(_EXTRA.match, requires("meddiff") or ())):
        names = missing.setdefault(match[2], [])
        try:
            version(match[1])
        except PackageNotFoundError:
            names.append(match[1])
    return missing


def run(_settings: Doctor) -> None:
    """Print what there is, line by line."""
    console = new_console()
    for name, value in facts():
        console.print(f"{name:<12} {value}", soft_wrap=True)


main = settings_command(Doctor, "doctor", "", __doc__, run)
