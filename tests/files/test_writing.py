"""Full disks and read-only folders are told in a sentence; nothing is half written."""

import errno
import os
import threading
from pathlib import Path

import pytest

from meddiff.errors import InputError
from meddiff.files.writing import in_plain_words, write_atomically


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission"),
        (errno.EDQUOT, "quota"),
    ],
)
def test_each_curable_error_has_its_sentence(tmp_path, code, said):
    def write(_file):
        raise OSError(code, os.strerror(code))

    with pytest.raises(InputError, match=said) as caught:
        write_atomically(tmp_path / "x", write)
    assert str(tmp_path / "x") in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_other_errors_pass_as_they_are(tmp_path):
    with pytest.raises(OSError, match="Input/output"), in_plain_words(tmp_path):
        raise OSError(errno.EIO, "Input/output error")


def test_the_option_that_names_the_folder_is_told(tmp_path):
    with (
        pytest.raises(InputError, match=r"another disk with --data\.cache"),
        in_plain_words(tmp_path, option="--data.cache"),
    ):
        raise OSError(errno.ENOSPC, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full to stand for a full disk")
def test_a_really_full_device():
    with (
        pytest.raises(InputError, match="disk is full"),
        in_plain_words(Path("/dev/full")),
        Path("/dev/full").open("wb") as file,
    ):
        file.write(b"x" * 100_000)


def test_a_file_in_the_way_of_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "x", lambda file: file.write(b"x"))


def test_an_interrupt_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    write_atomically(path, lambda file: file.write(b"old"))

    def interrupted(file):
        file.write(b"ne")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, interrupted)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_many_writers_leave_one_whole_file(tmp_path):
    path = tmp_path / "x"
    contents = [bytes([number]) * 10_000 for number in range(16)]
    threads = [
        threading.Thread(target=write_atomically, args=(path, lambda file, c=c: file.write(c))) for c in contents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]
