"""Ends `segment evaluate` at random file operations, starts it again, and compares with a run that was left alone.

    python benchmarks/kills.py --kills 100                  # SIGKILL, as a power cut or the end of a job gives it
    python benchmarks/kills.py --kills 100 --fault full     # the disk is full from that operation on: one sentence

Each run is a process of its own (forked, so that libraries are imported once). All files of the run folder are compared
by name, and all that hold results by their bytes; logs and costs hold times.
"""

from __future__ import annotations

import argparse
import errno
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums of several threads round differently

import numpy as np
from PIL import Image

from meddiff.jobs import job  # noqa: F401  (imported before the processes are made)
from meddiff.pipelines import segment

CHANGING = {"os.mkdir", "os.remove", "os.rename", "os.rmdir"}
TIMED = {
    "log.csv",
    "stages.json",
    "environment.json",
    "report.html",
    "report.json",
    "report.md",
    "model_card.md",
    ".lock",
}
RECIPE = """
data: {image_size: 8, channels: 1}
network: {channels: [4, 8], patch_size: 1}
training: {steps: 4, batch_size: 4, warmup_steps: 1, checkpoint_every: 2, sample_every: 2, precision: '32'}
baseline: {names: [unet], channels: [2, 4]}
inference: {members: 2, steps: 2}
validation: {cases: 2, members: 1}
evaluation: {resamples: 100}
"""


def main() -> None:
    """Print one line per kind of ending."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fault", choices=("kill", "full"), default="kill")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        draw(place)
        counted = place / "operations"
        _, said = run(place, count_into=counted)
        wanted, operations = outcome(place / "run"), int(counted.read_text())
        assert wanted, said
        chosen = random.Random(given.seed)
        endings: dict[str, int] = {}
        for _ in range(given.kills):
            at = chosen.randrange(operations)
            for left in ("run", "cache"):
                shutil.rmtree(place / left, ignore_errors=True)
            _, said = run(place, at=at, fault=given.fault)
            ending = "" if given.fault == "kill" or is_sentence(said) else f"traceback at operation {at}: {said[-300:]}"
            code, said = run(place)
            ending = ending or compared(outcome(place / "run"), wanted, code, said, at)
            endings[ending] = endings.get(ending, 0) + 1
    print(f"{given.kills} runs of segment evaluate, each ended ({given.fault}) at one of {operations} file operations")
    for ending, count in endings.items():
        print(f"{count:5d}  {ending or 'ended with the same files and bytes'}")


def draw(place: Path) -> None:
    """Write 12 pictures of discs with their masks, and the manifest and recipe of a run on them."""
    generator = np.random.default_rng(0)
    lines = ["row_id,dataset,patient_id,split,image_path,mask_path,source"]
    for number, split in enumerate(["train"] * 6 + ["val"] * 3 + ["test"] * 3):
        center = generator.uniform(5, 11, (2, 1, 1))
        inside = ((np.indices((16, 16)) - center) ** 2).sum(0) < generator.uniform(6, 20)
        image = 60 + 120 * inside + generator.normal(0, 20, (16, 16))
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(place / f"{number}.png")
        Image.fromarray(inside.astype(np.uint8)).save(place / f"{number}_mask.png")
        lines.append(f"r{number},x,p{number},{split},{number}.png,{number}_mask.png,real")
    (place / "manifest.csv").write_text("\n".join(lines) + "\n")
    (place / "recipe.yaml").write_text(RECIPE)


def run(place: Path, *, at: int | None = None, fault: str = "kill", count_into: Path | None = None) -> tuple[int, str]:
    """Run the command in a process that ends at operation ``at``; its exit status, and what it printed."""
    words = ["evaluate", "--config", str(place / "recipe.yaml"), "--manifest", str(place / "manifest.csv"),
             "--out", str(place / "run"), "--data.cache", str(place / "cache")]  # fmt: skip
    output = place / "output.txt"
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output.read_text(errors="replace")
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    done = [0]

    def watch(event: str, about: tuple) -> None:
        writes = event == "open" and about[2] & (os.O_WRONLY | os.O_RDWR) and not str(about[0]).startswith("/dev/")
        if event in CHANGING or writes:
            done[0] += 1
            if at is not None and done[0] > at:
                if fault == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                elif writes or event == "os.mkdir":
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(about[0]))

    sys.addaudithook(watch)
    code = 1
    try:
        code = segment.main(words)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        operations = done[0]
        if count_into is not None:
            count_into.write_text(str(operations))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def outcome(folder: Path) -> dict[str, bytes]:
    """Name of each file below a folder -> its bytes; none of those that hold times."""
    return {
        file.relative_to(folder).as_posix(): b"" if file.name in TIMED else file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def is_sentence(said: str) -> bool:
    """Whether a run with a full disk ended with a sentence."""
    return "Traceback" not in said and "error: " in said


def compared(left: dict[str, bytes], wanted: dict[str, bytes], code: int, said: str, at: int) -> str:
    """Say what is other than in the run that was left alone; "" for nothing."""
    if code:
        return f"exit code {code} after operation {at}: {said.strip().splitlines()[-1][:200]}"
    if extra := sorted(set(left) ^ set(wanted)):
        return f"files that are missing or too many, after operation {at}: {extra[:4]}"
    other = [name for name in wanted if left[name] != wanted[name]]
    return f"other bytes after operation {at}: {other[:4]}" if other else ""


if __name__ == "__main__":
    main()
