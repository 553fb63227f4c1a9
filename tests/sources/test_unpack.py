"""Archives are unpacked whole or not at all, and never outside their folder."""

import shutil
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from meddiff.errors import InputError
from meddiff.sources import unpack as module
from meddiff.sources.unpack import unpack


def packed(path: Path, files: dict[str, bytes], **how) -> Path:
    with zipfile.ZipFile(path, "w", **how) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo("x")
            info.filename = name  # ZipInfo itself would make some of these names harmless
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def tree(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_loose_files_get_a_folder_of_the_archives_name(tmp_path):
    archive = packed(tmp_path / "HAM.zip", {"a.jpg": b"a", "sub/b.jpg": b"b"})
    told = []
    assert unpack(archive, tmp_path, progress=lambda *news: told.append(news)) == tmp_path / "HAM"
    assert tree(tmp_path / "HAM") == ["a.jpg", "sub", "sub/b.jpg"]
    assert told[-1] == ("unpacking HAM.zip", 2, 2)


def test_a_folder_of_the_archives_name_is_not_wrapped_again(tmp_path):
    archive = packed(tmp_path / "ISIC.zip", {"ISIC/": b"", "ISIC/a.jpg": b"a", "__MACOSX/ISIC/._a.jpg": b"x"})
    unpack(archive, tmp_path)
    assert tree(tmp_path) == ["ISIC", "ISIC.zip", "ISIC/a.jpg"]


def test_what_is_unpacked_stays(tmp_path):
    archive = packed(tmp_path / "a.zip", {"1.jpg": b"a"})
    unpack(archive, tmp_path)
    (tmp_path / "a" / "1.jpg").write_bytes(b"mine")
    unpack(archive, tmp_path)
    assert (tmp_path / "a" / "1.jpg").read_bytes() == b"mine"


def test_what_a_killed_run_left_is_cleared(tmp_path):
    archive = packed(tmp_path / "a.zip", {"1.jpg": b"a"})
    (tmp_path / ".a.unpacking").mkdir()
    (tmp_path / ".a.unpacking" / "half.jpg").write_bytes(b"")
    unpack(archive, tmp_path)
    assert tree(tmp_path) == ["a", "a.zip", "a/1.jpg"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../evil.txt", "name that leaves the folder"),
        ("good/../../evil.txt", "name that leaves the folder"),
        ("..\\evil.txt", "name that leaves the folder"),
        ("/etc/evil.txt", "absolute name"),
        ("C:\\evil.txt", "absolute name"),
        ("C:evil.txt", "absolute name"),
        ("\\\\server\\share\\evil.txt", "absolute name"),
    ],
)
def test_names_that_leave_the_folder_are_refused(tmp_path, name, said):
    folder = tmp_path / "inner"
    folder.mkdir()
    archive = packed(folder / "a.zip", {"good.jpg": b"a", name: b"evil"})
    with pytest.raises(InputError, match=f"{said}.*evil.*do not use it"):
        unpack(archive, folder)
    assert tree(tmp_path) == ["inner", "inner/a.zip"]


def test_links_are_refused(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
        file.writestr("link/evil.txt", "evil")
    with pytest.raises(InputError, match="link or device in the archive: 'link'"):
        unpack(archive, tmp_path)
    assert tree(tmp_path) == ["a.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["a.jpg", "A.JPG"])
def test_two_entries_of_one_name_are_refused(tmp_path, second):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.jpg", "1")
        file.writestr(second, "2")
    with pytest.raises(InputError, match="two entries of one name"):
        unpack(archive, tmp_path)


def test_a_bomb_is_refused_before_it_swells(tmp_path):
    archive = packed(tmp_path / "bomb.zip", {"zeros": bytes(200_000_000)})
    with pytest.raises(InputError, match=r"bomb\.zip: 0\.2 MB that unpack to 200\.0 MB.*no image archive"):
        unpack(archive, tmp_path)
    assert tree(tmp_path) == ["bomb.zip"]


def test_the_largest_size_is_the_callers(tmp_path):
    archive = packed(tmp_path / "a.zip", {"1": bytes(2000)})
    with pytest.raises(InputError, match="allowed are 0 MB"):
        unpack(archive, tmp_path, largest_bytes=1000)


def test_an_entry_that_lies_about_its_size_is_refused(tmp_path):
    archive = packed(tmp_path / "a.zip", {"1.jpg": bytes(5000)})
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = content.index(signature) + offset
        content[start : start + 4] = struct.pack("<I", 10)
    archive.write_bytes(content)
    with pytest.raises(InputError, match="the archive is damaged"):
        unpack(archive, tmp_path)
    assert tree(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("cut", [30, 400])
def test_a_damaged_archive_leaves_nothing_behind(tmp_path, cut):
    archive = packed(tmp_path / "a.zip", {f"{number}.jpg": bytes(range(256)) * 20 for number in range(20)})
    content = bytearray(archive.read_bytes())
    content[cut + 10] ^= 0xFF
    archive.write_bytes(content if cut == 400 else content[:-cut])
    with pytest.raises(InputError, match=r"a\.zip: the archive is damaged .*Delete it and its \.json"):
        unpack(archive, tmp_path)
    assert tree(tmp_path) == ["a.zip"]


def test_a_full_disk_is_told_beforehand(tmp_path, monkeypatch):
    archive = packed(tmp_path / "a.zip", {"1.jpg": b"abc"})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(InputError, match=r"needed to unpack a\.zip"):
        unpack(archive, tmp_path)
    assert tree(tmp_path) == ["a.zip"]
