"""What surrounds a command: signals, a closed pipe, no home, few file handles, a full disk. A sentence each time."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from meddiff.cache import store
from meddiff.command_line import answer
from meddiff.errors import InputError
from meddiff.files import unpack
from meddiff.training.processes import signals
from tests.pipelines.small import arguments, draw

ROOT = Path(__file__).parents[2]
TWICE = """
import os, signal, sys, time
from meddiff.command_line import answer

def work():
    try:
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(60)
    finally:
        os.kill(os.getpid(), int(sys.argv[2]))
        time.sleep(60)

sys.exit(answer(work))
"""


def python(program: str, *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_the_process_at_once(number, second):
    ended = python(TWICE, int(number), int(second))
    assert ended.returncode == -second
    assert not ended.stderr


def test_what_was_ignored_stays_ignored():
    """As nohup starts a command."""
    program = """
import os, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from meddiff.command_line import answer
sys.exit(answer(lambda: os.kill(os.getpid(), signal.SIGHUP)))
"""
    assert python(program).returncode == 0


@pytest.mark.parametrize("number", signals.STOPS)
def test_a_signal_is_heeded_between_steps_and_handlers_are_put_back(number):
    before = [signal.getsignal(one) for one in signals.STOPS]
    done = []

    def training() -> None:
        with signals.heeded(signals.stop), signals.stopped_between_steps() as heed:
            heed(lambda: done.append("nothing yet"))
            signal.raise_signal(number)
            done.append("the step")
            heed(lambda: done.append("saved"))

    with pytest.raises(signals.Stopped) as stopped:
        training()
    assert stopped.value.number == number
    assert done == ["the step", "saved"]
    assert [signal.getsignal(one) for one in signals.STOPS] == before


def test_a_pipe_that_closes_gives_no_traceback(tmp_path):
    for number in range(300):
        Image.new("L", (8, 8), number % 256).save(tmp_path / f"{number}.png")
    command = f"{sys.executable} -m meddiff.pipelines.inspect --audit {tmp_path} | head -1"
    ended = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert ended.stderr == ""
    assert ended.stdout.count("\n") == 1


def test_print_into_a_closed_pipe_ends_with_141():
    program = """
import os, sys
from meddiff.command_line import answer
read, write = os.pipe()
os.close(read)
os.dup2(write, 1)
sys.exit(answer(lambda: print("x" * 100_000)))
"""
    ended = python(program)
    assert ended.returncode == 141
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/run/x.csv"), "/run/x.csv: the disk is full"),
        (OSError(errno.EDQUOT, "Quota exceeded", "/run/x.csv"), "quota"),
        (OSError(errno.EMFILE, "Too many open files", "/run/x.csv"), "ulimit -n"),
        (OSError(errno.EROFS, "Read-only file system", "/run/x.csv"), "read-only"),
        (OSError(errno.EIO, "Input/output error", "/run/x.csv"), "disk has an error"),
        (PermissionError(errno.EACCES, "Permission denied", "/run/x.csv"), "permission is denied"),
        (MemoryError(), "not enough memory"),
        (RuntimeError("Could not determine home directory."), "set HOME"),
    ],
)
def test_what_the_machine_refuses_is_a_sentence_wherever_it_happens(capsys, error, words):
    def work() -> None:
        raise error

    assert answer(work) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert words in said


def test_a_fault_of_ours_is_no_sentence():
    def work() -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    with pytest.raises(OSError, match="Bad file"):
        answer(work)


def test_without_a_home_the_cache_asks_for_a_folder(monkeypatch):
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(InputError, match=r"no home folder .* XDG_CACHE_HOME"):
        store.default_folder()


def zipped(folder: Path) -> Path:
    Image.new("L", (8, 8)).save(folder / "x.png")
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.write(folder / "x.png", "x.png")
    return folder / "x.zip"


@pytest.mark.parametrize("place", ["/nonexistent/tmp", "/proc", "/dev/null", ""])
def test_a_temporary_folder_that_cannot_be_used_is_passed_over(tmp_path, place):
    program = "import sys; from meddiff.pipelines import inspect; sys.exit(inspect.main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, str(zipped(tmp_path))]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"TMPDIR": place}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_a_full_temporary_folder_is_a_sentence(tmp_path, monkeypatch, number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    archive = zipped(tmp_path)
    monkeypatch.setattr(unpack, "_unpack_into", fail)
    with pytest.raises(InputError, match="TMPDIR"), unpack.unpacked(archive):
        pass
    monkeypatch.setattr(tempfile, "mkdtemp", fail)
    with pytest.raises(InputError, match=r"no folder to unpack it in .*TMPDIR"), unpack.unpacked(archive):
        pass


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["3", "0", "many"])
def test_any_number_of_threads_goes_on_with_a_run_of_one(tmp_path, threads):
    """Weights may round differently; which images there are and how they are split does not."""
    words = arguments(tmp_path, tmp_path / "run", "--data-root", draw(tmp_path / "images", {"a": 12, "b": 12}))
    program = "import sys; from meddiff.pipelines import train; sys.exit(train.main(sys.argv[1:]))"
    written = []
    for count, steps in (("1", 2), (threads, 4)):
        command = [sys.executable, "-c", program, *words, "--training.steps", str(steps)]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": count}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        written.append([(tmp_path / "run" / name).read_bytes() for name in ("manifest.csv", "contents.csv")])
    assert written[0] == written[1]
    assert (tmp_path / "run" / "checkpoints" / "step_00000004").is_dir()


def test_a_run_needs_few_file_handles_and_no_home(tmp_path):
    """Also under a user whom the machine does not know."""
    command = (
        f"ulimit -n 64; cd {tmp_path}; unset HOME; XDG_CACHE_HOME={tmp_path}/cache {sys.executable} -m "
        "meddiff.pipelines.build_manifest --dataset phantom --data.phantom_images 100 --data.image_size 16 --out run"
    )
    ended = subprocess.run(["bash", "-c", command], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
                           text=True, timeout=100)  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "run" / "manifest.csv").is_file()
