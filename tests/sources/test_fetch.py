"""A file comes whole and right, whatever the connection does on the way."""

import hashlib
import json
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from web import Site, serve

from meddiff.errors import InputError
from meddiff.sources.checksums import record_file
from meddiff.sources.fetch import Patience, fetch
from meddiff.sources.source import Archive

ROOT = Path(__file__).resolve().parents[2]
CONTENT = random.Random(0).randbytes(2_000_000)
QUICK = Patience(attempts=3, wait_s=0.01, timeout_s=5)


@pytest.fixture
def site():
    with serve(Site({"/a.bin": CONTENT})) as served:
        yield served


def archive(site: Site, **known) -> Archive:
    return Archive("set", f"{site.url}/a.bin", "a.bin", **known)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def ranges(site: Site) -> list[str | None]:
    return [asked for _, asked in site.asked]


def test_a_file_comes_with_its_record_and_progress(site, tmp_path):
    told = []
    path = fetch(archive(site), tmp_path / "new", patience=QUICK, progress=lambda *news: told.append(news))
    assert path.read_bytes() == CONTENT
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.bin", "a.bin.json"]
    assert json.loads(record_file(path).read_text()) == {
        "url": f"{site.url}/a.bin", "size_bytes": len(CONTENT), "sha256": digest(CONTENT),
        "sha256_stated_by": "first download",
    }  # fmt: skip
    assert [news for news in told if news[0] == "downloading a.bin"][-1][1:] == (len(CONTENT), len(CONTENT))
    assert told[-1] == ("checking a.bin", len(CONTENT), len(CONTENT))


def test_nothing_is_asked_for_twice(site, tmp_path):
    fetch(archive(site), tmp_path, patience=QUICK)
    fetch(archive(site), tmp_path, patience=QUICK)
    assert len(site.asked) == 1


def test_a_broken_connection_is_taken_up_where_it_broke(site, tmp_path):
    site.break_after = [700_000, 900_000]
    assert fetch(archive(site), tmp_path, patience=QUICK).read_bytes() == CONTENT
    assert ranges(site) == [None, "bytes=700000-", "bytes=1600000-"]


def test_another_run_goes_on_where_the_last_gave_up(site, tmp_path):
    site.break_after = [500_000, 0, 0]
    with pytest.raises(InputError, match=r"a\.bin could not be downloaded.*500000 bytes have come and are kept"):
        fetch(archive(site), tmp_path, patience=QUICK)
    assert not (tmp_path / "a.bin").exists()
    assert fetch(archive(site), tmp_path, patience=QUICK).read_bytes() == CONTENT
    assert ranges(site)[-1] == "bytes=500000-"


def test_a_killed_run_goes_on_where_it_was(site, tmp_path):
    site.break_after, site.hold = [500_000], threading.Event()
    code = (
        "import sys; from pathlib import Path; from meddiff.sources.fetch import fetch; from meddiff.sources.source "
        "import Archive; fetch(Archive('set', sys.argv[1], 'a.bin'), Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, f"{site.url}/a.bin", str(tmp_path)], cwd=ROOT)
    part, end = tmp_path / "a.bin.part", time.monotonic() + 30
    while not (part.exists() and part.stat().st_size > 250_000) and time.monotonic() < end:
        time.sleep(0.01)
    process.kill()
    process.wait()
    site.hold.set()
    come = part.stat().st_size
    assert 250_000 < come <= 500_000
    assert fetch(archive(site), tmp_path, patience=QUICK).read_bytes() == CONTENT
    assert ranges(site) == [None, f"bytes={come}-"]


def test_a_file_that_changed_meanwhile_is_begun_anew(site, tmp_path):
    site.break_after = [500_000, 0, 0]
    with pytest.raises(InputError):
        fetch(archive(site), tmp_path, patience=QUICK)
    site.files["/a.bin"], site.tags["/a.bin"] = CONTENT[::-1], '"second"'
    assert fetch(archive(site), tmp_path, patience=QUICK).read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("silent_about", ["ranges", "tag", "length"])
def test_servers_that_cannot_resume_are_asked_for_all_of_it(site, tmp_path, silent_about):
    site.break_after = [500_000] if silent_about != "length" else []
    site.ranges = silent_about != "ranges"
    site.tell_length = silent_about != "length"
    site.tags["/a.bin"] = "" if silent_about == "tag" else 'W/"weak"'
    assert fetch(archive(site), tmp_path, patience=QUICK).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(site, tmp_path):
    site.fail_with = [503, 429]
    assert fetch(archive(site), tmp_path, patience=QUICK).read_bytes() == CONTENT


def test_a_missing_file_is_not_asked_for_again_and_the_mirror_is(site, tmp_path):
    moved = Archive("set", f"{site.url}/gone.bin", "a.bin", mirrors=(f"{site.url}/a.bin",))
    path = fetch(moved, tmp_path, patience=QUICK)
    assert [path for path, _ in site.asked] == ["/gone.bin", "/a.bin"]
    assert json.loads(record_file(path).read_text())["url"] == f"{site.url}/a.bin"


def test_a_file_that_is_nowhere_names_every_address(site, tmp_path):
    nowhere = Archive("set", f"{site.url}/x", "a.bin", mirrors=("http://127.0.0.1:9/y",))
    with pytest.raises(
        InputError, match=r"127\.0\.0\.1:\d+/x: 404 .*; http://127\.0\.0\.1:9/y: .*Check the connection"
    ):
        fetch(nowhere, tmp_path, patience=QUICK)
    assert not any(tmp_path.iterdir())


def test_the_publishers_checksum_decides(site, tmp_path):
    path = fetch(archive(site, sha256=digest(CONTENT).upper()), tmp_path, patience=QUICK)
    assert json.loads(record_file(path).read_text())["sha256_stated_by"] == "publisher"
    path.write_bytes(b"damaged on disk")
    with pytest.raises(InputError, match="its publisher states"):
        fetch(archive(site, sha256=digest(CONTENT)), tmp_path, patience=QUICK)
    assert not path.exists()


def test_a_wrong_checksum_is_never_given_the_name(site, tmp_path):
    with pytest.raises(InputError, match=f"its SHA-256 is {digest(CONTENT)}, its publisher states {'0' * 64}"):
        fetch(archive(site, sha256="0" * 64), tmp_path, patience=QUICK)
    assert not (tmp_path / "a.bin").exists()
    assert not (tmp_path / "a.bin.part").exists()
    assert not record_file(tmp_path / "a.bin").exists()


def test_the_first_download_is_held_to(site, tmp_path):
    path = fetch(archive(site), tmp_path, patience=QUICK)
    path.unlink()
    site.files["/a.bin"] = b"something else"
    with pytest.raises(InputError, match=rf"at the first download it was {digest(CONTENT)}.*to accept it"):
        fetch(archive(site), tmp_path, patience=QUICK)
    assert not path.exists()
    record_file(path).unlink()  # the user accepts the new file, which need not come again
    asked = len(site.asked)
    assert fetch(archive(site), tmp_path, patience=QUICK).read_bytes() == b"something else"
    assert len(site.asked) == asked


def test_a_file_damaged_on_disk_is_told(site, tmp_path):
    path = fetch(archive(site), tmp_path, patience=QUICK)
    path.write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(InputError, match=r"it is damaged, or .*Delete .*a\.bin to download it again"):
        fetch(archive(site), tmp_path, patience=QUICK)


def test_a_file_put_there_by_hand_is_taken_and_recorded(site, tmp_path):
    (tmp_path / "a.bin").write_bytes(CONTENT)
    fetch(archive(site), tmp_path, patience=QUICK)
    assert json.loads(record_file(tmp_path / "a.bin").read_text())["sha256_stated_by"] == "found on disk"
    assert site.asked == []


def test_a_login_page_is_no_zip(site, tmp_path):
    site.files["/a.bin"] = b"<!DOCTYPE html><title>Log in</title>"
    with pytest.raises(InputError, match=r"no zip archive, it begins with b'<!DOCTYPE html>.*login page"):
        fetch(Archive("set", f"{site.url}/a.bin", "a.zip"), tmp_path, patience=QUICK)
    assert not (tmp_path / "a.zip").exists()
    assert not record_file(tmp_path / "a.zip").exists()


def test_a_disk_that_is_too_small_is_told_beforehand(site, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(InputError, match=r"0\.0 GB more are needed, 0\.0 GB are free. Free some space"):
        fetch(archive(site), tmp_path, patience=QUICK)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_is_told(site, tmp_path):
    (tmp_path / "a.bin.part").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"a\.bin\.part cannot be written: the disk is full"):
        fetch(archive(site), tmp_path, patience=QUICK)


def test_a_folder_that_cannot_be_made_is_told(site, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        fetch(archive(site), tmp_path / "file" / "data", patience=QUICK)


def test_a_state_file_that_was_damaged_costs_a_new_beginning_only(site, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:1000])
    Path(tmp_path / "a.bin.part.json").write_text("{")
    assert fetch(archive(site), tmp_path, patience=QUICK).read_bytes() == CONTENT
    assert ranges(site) == [None]
