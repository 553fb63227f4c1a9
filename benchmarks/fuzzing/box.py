"""A process with little memory and a folder of its own, in which one file after the other is read.

The folder holds `in` (the sample), `tmp` (for temporary files, empty again after each) and `elsewhere` (the working
folder, which nobody may write to). Standard input is a pipe that never ends, so that a reader that waits for it hangs.
"""

import contextlib
import os
import resource
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from fuzzing.doors import WRITING, Outcome, hostile_sample, judged
from fuzzing.sample import Sample

OUTSIDE = Path("/tmp/meddiff-evil")
IDLE = 60
_SECRET = b"nobody may change or remove this"


@dataclass(frozen=True)
class Reading:
    """One file, read."""

    number: int
    sample_format: str
    story: str
    outcome: Outcome
    seconds: float
    """Of the process's own time."""
    peak_bytes: int
    """Above what the process had before."""


class Box:
    """Reads samples by their number; a process that dies or hangs is replaced."""

    def __init__(self, seeds: dict[str, list[Sample]], *, seed: int, memory_bytes: int, seconds: float):
        self.seeds, self.seed, self.memory_bytes, self.seconds = seeds, seed, memory_bytes, seconds
        self._folder = tempfile.TemporaryDirectory(prefix="meddiff-fuzz-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)
        self._start()

    def read(self, number: int) -> Reading:
        """Read one sample."""
        began = time.monotonic()
        try:
            self._pipe.send(number)
            if self._answers():
                return self._pipe.recv()
            outcome = Outcome("time out", f"no answer within {self.seconds:g} seconds")
        except (EOFError, OSError, psutil.Error):
            self._process.join()
            code = self._process.exitcode or 0
            outcome = Outcome(signal.Signals(-code).name if code < 0 else f"exit code {code}", "the process died")
        self._stop()
        self._start()
        sample = hostile_sample(number, self.seed, self.seeds)
        return Reading(number, sample.format, sample.story, outcome, time.monotonic() - began, 0)

    def _answers(self) -> bool:
        """Whether an answer comes in time: of the process's own, whatever else the machine does, or 60 times that."""
        began, child = time.monotonic(), psutil.Process(self._process.pid)
        used = sum(child.cpu_times()[:2])
        while not self._pipe.poll(min(0.5, self.seconds)):
            slow = sum(child.cpu_times()[:2]) - used > self.seconds
            if slow or time.monotonic() - began > IDLE * self.seconds:
                return self._pipe.poll(0)
        return True

    def close(self) -> None:
        self._stop()
        self._folder.cleanup()

    def _start(self) -> None:
        for name in ("in", "tmp", "elsewhere"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / name).mkdir()
        (self.folder / "elsewhere" / "secret.txt").write_bytes(_SECRET)
        context = get_context("fork")  # what was imported and made before is shared
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(self, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def _stop(self) -> None:
        with contextlib.suppress(OSError):
            self._process.kill()
        self._process.join()
        self._pipe.close()


def _work(box: Box, pipe: Connection) -> None:
    """The process: limits first, then number after number until the pipe is closed."""
    limit = _memory("VmSize") + box.memory_bytes  # libraries alone have more than a gigabyte of addresses
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["TMPDIR"] = tempfile.tempdir = str(box.folder / "tmp")
    os.chdir(box.folder / "elsewhere")
    silent = os.open(os.devnull, os.O_RDWR)
    endless, _keep = os.pipe()
    for number, stream in ((0, endless), (1, silent), (2, silent)):
        os.dup2(stream, number)
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(_read(box, pipe.recv()))


def _read(box: Box, number: int) -> Reading:
    sample = hostile_sample(number, box.seed, box.seeds)
    shutil.rmtree(box.folder / "in", ignore_errors=True)
    (box.folder / "in").mkdir()
    try:
        path = sample.write(box.folder / "in")
    except OSError as error:
        return Reading(number, sample.format, sample.story, Outcome("refusal", f"not written: {error}"), 0, 0)
    watched = [box.folder / name for name in ("tmp", "elsewhere", *(() if sample.format in WRITING else ("in",)))]
    before = _listing(watched)
    _forget_peak()
    at_start = _memory("VmRSS")
    began = time.process_time()
    outcome = judged(sample.format, path)
    seconds = time.process_time() - began
    changed = before ^ _listing(watched)
    if changed:
        outcome = Outcome("written outside", str(sorted(changed)[:5]))
        _restore(box.folder)
    return Reading(number, sample.format, sample.story, outcome, seconds, max(0, _memory("VmHWM") - at_start))


def _listing(folders: list[Path]) -> set[tuple[str, int, int]]:
    files = {(str(OUTSIDE), 0, 0)} if OUTSIDE.exists() else set()
    for path in [path for folder in folders for path in folder.rglob("*")]:
        status = path.lstat()
        files.add((str(path), status.st_size, status.st_mtime_ns) if not path.is_dir() else (str(path), 0, 0))
    return files


def _restore(folder: Path) -> None:
    OUTSIDE.unlink(missing_ok=True)
    for name in ("tmp", "elsewhere"):
        for path in (folder / name).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "elsewhere" / "secret.txt").write_bytes(_SECRET)


def _forget_peak() -> None:
    with contextlib.suppress(OSError):  # Linux alone
        Path("/proc/self/clear_refs").write_text("5")


def _memory(kind: str) -> int:
    """VmSize, addresses; VmRSS, what is resident; VmHWM, the most that was since it was forgotten; 0 without /proc."""
    try:
        return int(Path("/proc/self/status").read_text().split(f"{kind}:")[1].split()[0]) << 10
    except (OSError, IndexError):
        return 0
