"""Hostile files for every reader: each must end in a result or in our own error, in little time and memory.

    python benchmarks/fuzz_readers.py --files 20000 --memory-mb 1024 --data ../shared/data --out benchmarks/results
    python benchmarks/fuzz_readers.py --only 4711                # one file again, with what came of it

Small files of each format are made (and, with --data, the smallest of a folder taken), then changed: bits, runs, cuts,
numbers at their limits, the sizes that headers state, sequences in sequences, bombs, paths that climb, links, pipes,
wrong names. Each is handed to the public door of its format in a process with a limit on its address space. What is
neither a result nor an `InputError` (another exception, a crash, a time out, memory that was refused, a file written
outside) is a finding; it is kept with its number, which makes it again.
"""

import argparse
import contextlib
import os
import platform
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before torch: a process with threads of its own cannot be forked

from fuzzing.box import Box, Reading
from fuzzing.doors import DOORS, format_of, hostile_sample
from fuzzing.sample import Sample
from fuzzing.seeds import sampled, seeds
from rich.console import Console
from rich.table import Table

LIBRARIES = ("nibabel", "pydicom", "pillow", "SimpleITK", "python-gdcm", "pylibjpeg-openjpeg", "pyjpegls", "isal")


def all_seeds(data: Path | None = None) -> dict[str, list[Sample]]:
    """Seeds by format, those of a folder behind those that are made."""
    made = [*seeds(), *(sampled(data) if data else [])]
    return {format_: [sample for sample in made if sample.format == format_] for format_ in DOORS}


def is_finding(reading: Reading) -> bool:
    return reading.outcome.kind not in ("result", "refusal")


def warm_up() -> None:
    """Import what the doors import late, once, before processes are started."""
    import gdcm  # noqa: F401
    import highdicom  # noqa: F401
    import nibabel  # noqa: F401
    import openjpeg  # noqa: F401
    import SimpleITK  # noqa: F401

    import meddiff.command_line
    import meddiff.formats.find
    import meddiff.pipelines.inspect  # noqa: F401
    from meddiff.jobs import job  # noqa: F401


def keep(reading: Reading, sample: Sample, folder: Path) -> None:
    """The files of a finding, and beside them what came of them."""
    where = folder / f"{reading.number}-{reading.sample_format}-{reading.outcome.kind.replace(' ', '_')}"
    where.mkdir(parents=True, exist_ok=True)
    (where / "why.txt").write_text(f"{reading.story}\n{reading.outcome.kind}\n{reading.outcome.detail}\n")
    try:
        sample.write(where / "files")
    except OSError as error:
        (where / "not_written.txt").write_text(str(error))


def table_of(readings: list[Reading]) -> Table:
    table = Table("format", "files", "results", "refusals", "findings", "slowest, CPU s", "memory taken, MB")
    for format_ in [*DOORS, "all"]:
        own = [one for one in readings if format_ in ("all", one.sample_format)]
        if not own:
            continue
        kinds = Counter("finding" if is_finding(one) else one.outcome.kind for one in own)
        slowest, peak = max(one.seconds for one in own), max(one.peak_bytes for one in own)
        cells = (len(own), kinds["result"], kinds["refusal"], kinds["finding"], f"{slowest:.2f}", f"{peak / 1e6:.0f}")
        table.add_row(format_, *map(str, cells), end_section=format_ == list(DOORS)[-1])
    return table


def fuzz(box: Box, numbers: Iterable[int], kept: Path, console: Console) -> list[Reading]:
    """Read one file after the other until all are read, or somebody presses Ctrl-C."""
    readings: list[Reading] = []
    with contextlib.suppress(KeyboardInterrupt):
        _fuzz(box, numbers, kept, console, readings)
    return readings


def _fuzz(box: Box, numbers: Iterable[int], kept: Path, console: Console, readings: list[Reading]) -> None:
    for number in numbers:
        readings.append(box.read(number))
        if is_finding(readings[-1]):
            one = readings[-1]
            keep(one, hostile_sample(number, box.seed, box.seeds), kept)
            last = one.outcome.detail.strip().splitlines()[-1:]
            console.print(
                f"{number} {one.sample_format}: {one.outcome.kind}: {one.story[:80]}: {last}"[:400], markup=False
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number to begin with")
    parser.add_argument("--memory-mb", type=int, default=1024, help="address space beside the libraries'")
    parser.add_argument("--seconds", type=float, default=5, help="of the process, for one file")
    parser.add_argument("--data", type=Path, help="also change the smallest files of this folder")
    parser.add_argument("--formats", nargs="+", choices=list(DOORS), help="leave out the files of all others")
    parser.add_argument("--only", type=int, help="the number of one file, read in this process")
    parser.add_argument("--out", type=Path, help="folder for fuzz_readers.txt")
    parser.add_argument("--kept", type=Path, default=Path(tempfile.gettempdir()) / "meddiff-fuzz-findings")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell started it in the background
    console = Console(width=110, record=True)
    warm_up()
    made = all_seeds(options.data)
    box = Box(made, seed=options.seed, memory_bytes=options.memory_mb << 20, seconds=options.seconds)
    began = time.monotonic()
    if options.only is not None:
        reading = box.read(options.only)
        keep(reading, hostile_sample(options.only, options.seed, made), options.kept)
        console.print(reading, markup=False)
        console.print(f"kept in {options.kept}")
        return int(is_finding(reading))
    numbers = range(options.first, options.first + options.files)
    wanted = [number for number in numbers if format_of(number) in (options.formats or DOORS)]
    readings = fuzz(box, wanted, options.kept, console)
    box.close()
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    title = f"{len(readings)} files from seed {options.seed}, {sum(map(len, made.values()))} seed files"
    title += f" ({options.data.name} among them)" if options.data else ""
    console.print(f"{title}; {options.memory_mb} MB of address space, {options.seconds:g} s for each")
    console.print(table_of(readings))
    console.print(f"{time.monotonic() - began:.0f} s; Python {platform.python_version()}, {libraries}")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "fuzz_readers.txt").write_text(console.export_text())
    return int(any(map(is_finding, readings)))


if __name__ == "__main__":
    sys.exit(main())
