"""The download command, against a server on this machine."""

import io
import subprocess
import sys
import zipfile
from dataclasses import replace

import pytest
from filelock import FileLock
from rich.console import Console
from web import Site, serve

from meddiff.errors import InputError
from meddiff.pipelines.download import main, run
from meddiff.recipe.commands import Download
from meddiff.sources.isic import ISIC
from meddiff.sources.isic.archives import ARCHIVES
from meddiff.sources.source import Archive

TABLE = b"lesion_id,image_id,dx\nHAM_1,ISIC_0024306,nv\nHAM_2,ISIC_0029306,mel\n"


def zipped(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


FILES = {
    "/HAM10000_metadata.csv": TABLE,
    "/HAM10000_images_part_1.zip": zipped({"ISIC_0024306.jpg": b"one"}),
    "/HAM10000_images_part_2.zip": zipped({"ISIC_0029306.jpg": b"two"}),
}


@pytest.fixture
def site():
    with serve(Site(dict(FILES))) as served:
        yield served


@pytest.fixture
def sources(site):
    archives = tuple(Archive("ham10000", site.url + path, path[1:], note="a part", license="CC0-1.0") for path in FILES)
    return {"isic": replace(ISIC, archives=archives), "other": replace(ISIC, name="other", archives=())}


def run_quietly(settings: Download, sources) -> str:
    text = io.StringIO()
    run(settings, sources, Console(file=text, width=200))
    return text.getvalue()


def test_what_is_downloaded_is_what_the_source_reads(sources, tmp_path):
    said = run_quietly(Download(archive="ham10000", data_root=str(tmp_path / "data")), sources)
    rows = ISIC.rows(tmp_path / "data")
    assert [(row.row_id, row.label, row.image_path) for row in rows] == [
        ("ISIC_0024306", "nv", "ham10000/HAM10000_images_part_1/ISIC_0024306.jpg"),
        ("ISIC_0029306", "mel", "ham10000/HAM10000_images_part_2/ISIC_0029306.jpg"),
    ]
    assert f"--data-root {tmp_path / 'data'}" in said
    assert "CC0-1.0" in said


def test_the_same_command_again_asks_for_nothing(sources, site, tmp_path):
    settings = Download(archive="ham10000", data_root=str(tmp_path))
    run_quietly(settings, sources)
    asked = len(site.asked)
    assert "unpacked already" in run_quietly(settings, sources)
    assert len(site.asked) == asked


def test_archives_are_deleted_when_asked_and_not_fetched_again(sources, site, tmp_path):
    settings = Download(archive="ham10000", data_root=str(tmp_path), delete_archives=True)
    run_quietly(settings, sources)
    run_quietly(settings, sources)
    assert len(site.asked) == 3
    assert not list(tmp_path.rglob("*.zip"))
    assert len(ISIC.rows(tmp_path)) == 2


def test_a_stopped_download_goes_on(sources, site, tmp_path):
    site.fail_with = [404]
    settings = Download(archive="ham10000", data_root=str(tmp_path))
    with pytest.raises(InputError, match=r"HAM10000_metadata\.csv could not be downloaded"):
        run_quietly(settings, sources)
    run_quietly(settings, sources)
    assert len(ISIC.rows(tmp_path)) == 2


def test_a_malicious_archive_is_refused(sources, site, tmp_path):
    site.files["/HAM10000_images_part_1.zip"] = zipped({"../../evil.jpg": b"evil"})
    with pytest.raises(InputError, match="name that leaves the folder"):
        run_quietly(Download(archive="ham10000", data_root=str(tmp_path / "a" / "b")), sources)
    assert not list(tmp_path.rglob("*.jpg"))


def test_two_downloads_at_once_do_not_mix(sources, tmp_path):
    folder = tmp_path / "ham10000"
    folder.mkdir()
    with (
        FileLock(folder / ".download.lock"),
        pytest.raises(InputError, match="another download into it is running"),
    ):
        run_quietly(Download(archive="ham10000", data_root=str(tmp_path)), sources)


def test_without_a_name_the_archives_are_listed(sources, site):
    said = run_quietly(Download(), sources)
    assert "ham10000" in said
    assert "--archive" in said
    assert site.asked == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Download(dataset="isik"), "unknown dataset 'isik': use one of isic, other; did you mean 'isic'"),
        (Download(archive="ham1000"), "unknown archive 'ham1000'.*did you mean 'ham10000'"),
        (Download(dataset="other"), "other cannot be downloaded by a program"),
    ],
)
def test_unknown_names_are_told(sources, settings, said):
    with pytest.raises(InputError, match=said):
        run_quietly(settings, sources)


def test_the_command_line(capsys, tmp_path):
    assert main(["--dataset", "isic", "--archive", "isic2081", "--data-root", str(tmp_path)]) == 2
    assert "error: unknown archive 'isic2081'" in capsys.readouterr().err
    assert main([]) == 0
    assert "isic2018-task3" in capsys.readouterr().out


def test_help_is_quick_and_teaches():
    said = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "meddiff.pipelines.download", "--help"],
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0
    assert "--archive ham10000 --data-root data" in said.stdout
    assert " torch" not in said.stderr


def test_the_addresses_are_the_publishers():
    hosts = {address.split("/")[2] for archive in ARCHIVES for address in (archive.url, *archive.mirrors)}
    assert hosts == {"isic-archive.s3.amazonaws.com", "isic-challenge-data.s3.amazonaws.com", "dataverse.harvard.edu"}
    assert all(address.startswith("https://") for archive in ARCHIVES for address in (archive.url, *archive.mirrors))
    assert len({(archive.name, archive.file_name) for archive in ARCHIVES}) == len(ARCHIVES)
    assert all(archive.sha256 is None and archive.license and archive.note for archive in ARCHIVES)
