"""A short run of the fuzzer, and the proof that it would find: a fuzzer that sees no fault is none."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fuzz_readers import all_seeds, is_finding
from fuzzing import doors
from fuzzing.box import Box
from fuzzing.doors import DOORS, Outcome, format_of, hostile_sample, judged
from fuzzing.sample import Sample

from meddiff.errors import InputError

ROOT = Path(__file__).parents[2]
FEW = 260


@pytest.fixture(scope="module")
def seeds() -> dict[str, list[Sample]]:
    return all_seeds()


def test_a_few_hundred_hostile_files(tmp_path):
    """In a program of its own: the limit on memory is meant for the readers, not for what other tests have loaded."""
    command = [sys.executable, str(ROOT / "benchmarks" / "fuzz_readers.py"), "--files", str(FEW), "--seed", "7",
               "--kept", str(tmp_path / "kept"), "--out", str(tmp_path)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    told = (tmp_path / "fuzz_readers.txt").read_text()
    assert f"{FEW} files from seed 7" in told
    assert all(name in told for name in DOORS)
    assert not (tmp_path / "kept").exists()


def test_seeds_are_good_files(tmp_path, seeds):
    """A seed that is refused as it is teaches nothing about what was done to it."""
    several = {"gif"}  # an animation is refused unless a page is named
    for format_, samples in seeds.items():
        for number, sample in enumerate(samples):
            outcome = judged(format_, sample.write(tmp_path / f"{format_}{number}"))
            assert outcome.kind == "result" or format_ in several, (format_, sample.opened, outcome.detail)
    assert {sample.opened for sample in seeds["dicom"]} >= {"enhanced.dcm", "mosaic.dcm", "RLELossless.dcm"}


def test_the_same_number_is_the_same_file(seeds):
    for number in range(26):
        one, two = (hostile_sample(number, 3, seeds) for _ in range(2))
        assert (one.files, one.links, one.opened) == (two.files, two.links, two.opened), one.story
    others = [hostile_sample(number, 4, seeds) for number in range(26)]
    assert sum(one.files == hostile_sample(number, 3, seeds).files for number, one in enumerate(others)) < 13


def crash(_: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(_: Path) -> None:
    time.sleep(60)


def leak(path: Path) -> None:
    (path.parent.parent / "elsewhere" / "evil").write_text("x")


def fail(_: Path) -> None:
    raise KeyError("a library's own")


def leave(_: Path) -> None:
    raise SystemExit(0)


def starve(path: Path) -> None:
    try:
        bytearray(1 << 60)
    except (MemoryError, OverflowError) as error:
        raise InputError(f"{path}: damaged") from error


@pytest.mark.parametrize(
    ("door", "kind"),
    [(crash, "SIGKILL"), (hang, "time out"), (leak, "written outside"), (fail, "KeyError"), (leave, "SystemExit"),
     (starve, "memory")],
)  # fmt: skip
def test_every_kind_of_fault_is_found(monkeypatch, seeds, door, kind):
    monkeypatch.setitem(doors.DOORS, "csv", door)
    number = next(number for number in range(99) if format_of(number) == "csv")
    box = Box(seeds, seed=0, memory_bytes=1 << 50, seconds=0.2)
    try:
        found = box.read(number)
        assert found.outcome.kind == kind
        assert is_finding(found)
        other = next(number for number in range(99) if format_of(number) == "bmp")
        assert box.read(other).outcome.kind in ("result", "refusal"), "the box goes on after a fault"
    finally:
        box.close()


def test_results_and_refusals_are_no_findings(tmp_path, seeds):
    good = seeds["csv"][0].write(tmp_path)
    assert judged("csv", good) == Outcome("result")
    good.write_text("nothing")
    assert judged("csv", good).kind == "refusal"
