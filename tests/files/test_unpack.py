"""Archives are unpacked whole or not at all, and never outside their folder."""

import shutil
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from meddiff.errors import InputError
from meddiff.files import unpack as module
from meddiff.files.unpack import unpack, unpacked


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
    with pytest.raises(InputError, match=r"a\.zip: the archive is damaged .*delete it and its \.json"):
        unpack(archive, tmp_path)
    assert tree(tmp_path) == ["a.zip"]


def test_a_full_disk_is_told_beforehand(tmp_path, monkeypatch):
    archive = packed(tmp_path / "a.zip", {"1.jpg": b"abc"})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(InputError, match=r"needed to unpack a\.zip"):
        unpack(archive, tmp_path)
    assert tree(tmp_path) == ["a.zip"]


def test_an_input_is_unpacked_for_the_time_of_its_use(tmp_path):
    archive = packed(tmp_path / "study.ZIP", {"a/1": b"abc", "inner.zip": b"PK"})
    with unpacked(archive) as folder:
        assert folder.name == "study.ZIP"
        assert tree(folder) == ["a", "a/1", "inner.zip"], "an archive in an archive stays packed"
        assert (folder / "a" / "1").read_bytes() == b"abc"
        assert folder.parent.stat().st_mode & 0o077 == 0, "nobody else may read a patient's images"
    assert not folder.parent.exists()
    with unpacked(tmp_path) as same:
        assert same == tmp_path


def test_messages_name_the_archive_and_not_the_temporary_folder(tmp_path):
    archive = packed(tmp_path / "study.zip", {"a/1": b"abc"})
    with pytest.raises(InputError) as caught, unpacked(archive) as folder:
        raise InputError(f"{folder / 'a' / '1'}: no image")
    assert str(caught.value) == f"{archive / 'a' / '1'}: no image"
    assert not folder.exists()


@pytest.mark.parametrize("name", ["x" * 300, "/".join("ab" * 20), "a/" * 3000 + "b"])
def test_names_that_no_disk_takes_are_refused(tmp_path, name):
    archive = packed(tmp_path / "a.zip", {name: b"a"})
    with pytest.raises(InputError, match=r"damaged|nested deeper than 32"):
        unpack(archive, tmp_path)
    assert tree(tmp_path) == ["a.zip"]


def test_a_file_that_is_also_a_folder_is_damage(tmp_path):
    archive = packed(tmp_path / "a.zip", {"a": b"1", "a/b": b"2"})
    with pytest.raises(InputError, match="the archive is damaged"):
        unpack(archive, tmp_path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packings_without_a_bound_are_refused(tmp_path, method):
    """256 KB of bzip2 are up to 5 GB at once, and LZMA's header asks for any dictionary."""
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w", method) as file:
        file.writestr("a.jpg", "1")
    with pytest.raises(InputError, match=f"packed by method {method}.*deflate"):
        unpack(archive, tmp_path)


def test_encrypted_entries_are_refused_with_a_cure(tmp_path):
    archive = packed(tmp_path / "a.zip", {"1.dcm": b"abc"})
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    archive.write_bytes(content)
    with pytest.raises(InputError, match=r"encrypted entry: '1\.dcm'.*by hand with its password"):
        unpack(archive, tmp_path)


def test_an_endless_list_is_refused_before_it_is_read(tmp_path, monkeypatch):
    archive = packed(tmp_path / "a.zip", {f"{number}": b"" for number in range(40)})
    monkeypatch.setattr(module, "LARGEST_COUNT", 12)
    with pytest.raises(InputError, match=r"a list of names of 0 MB; allowed are 12 entries"):
        unpack(archive, tmp_path)
    monkeypatch.setattr(module, "_LISTED_BYTES", 1000)
    with pytest.raises(InputError, match=r"40 entries; allowed are 12"):
        unpack(archive, tmp_path)


@pytest.mark.parametrize("place", range(0, 130))
def test_any_flipped_byte_is_damage_or_nothing(tmp_path, place):
    archive = packed(tmp_path / "a.zip", {"1.dcm": b"abc" * 9})
    content = bytearray(archive.read_bytes())
    content[place % len(content)] ^= 0xFF
    archive.write_bytes(content)
    try:
        with unpacked(archive) as folder:
            assert all(file.resolve().is_relative_to(folder.resolve()) for file in folder.rglob("*"))
    except InputError as error:
        assert str(archive) in str(error)  # noqa: PT017
