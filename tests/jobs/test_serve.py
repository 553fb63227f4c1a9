"""The pages of `serve` and `watch`: what they answer, whom they refuse, and how they look in a real browser."""

import http.client
import io
import json
import tempfile
import threading
import zipfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from dicom_series import write_series
from filelock import FileLock
from PIL import Image

import meddiff
from meddiff.batches.image_attributes import Attributes, ImageAttribute
from meddiff.errors import InputError
from meddiff.formats.open import load_volume
from meddiff.formats.pictures import read_pixels
from meddiff.images.intensity import to_pixels
from meddiff.jobs.serve import sites
from meddiff.jobs.serve.local_server import LARGEST_BYTES, LocalServer
from meddiff.jobs.serve.sites import ImageSite, site_of
from meddiff.jobs.serve.watched_run import RunSite, state_now
from meddiff.recipe import Recipe, SegmentRecipe, to_dict
from meddiff.run import RunFolder

NAME = "<img src=x onerror=document.title='hacked'>"
"""Of a class and a file of somebody who means harm."""


@contextmanager
def served(site):
    server = LocalServer(site)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def masks():
    with served(site_of("dermoscopy-masks", "diffusion")) as server:
        yield server


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    (folder / NAME).mkdir()
    for number, picture in enumerate(np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)):
        Image.fromarray(picture).save(folder / NAME / f"{number}.png")
    model = meddiff.denoiser(like=meddiff.read_images(folder, size=16), channels=(32, 32))
    return replace(model, drawing=replace(model.drawing, steps=2))


@pytest.fixture(scope="module")
def drawing(generator):
    with served(ImageSite("somewhere", generator)) as server:
        yield server


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    y, x = np.mgrid[:48, :64]
    pixels = np.full((48, 64, 3), (205, 160, 140), np.uint8)
    pixels[(y - 24) ** 2 + (x - 32) ** 2 < 150] = (90, 60, 50)
    path = tmp_path_factory.mktemp("photo") / "mole.png"
    Image.fromarray(pixels).save(path)
    return path


def ask(server, method, path, body=b"", *, token=None, headers=()):
    """Status and content of an answer; what is in `headers` replaces what a browser sends."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=60)
    connection.putrequest(method, f"/{server.token if token is None else token}{path}", skip_host=True)
    sent = {"Host": f"127.0.0.1:{server.server_address[1]}", "Content-Length": str(len(body))} | dict(headers)
    for name, value in sent.items():
        if value is not None:
            connection.putheader(name, value)
    connection.endheaders(body or None)
    answer = connection.getresponse()
    return answer.status, answer.read(), dict(answer.getheaders())


def upload(files: dict[str, bytes], **settings) -> bytes:
    head = {"files": [{"name": name, "size": len(content)} for name, content in files.items()], **settings}
    return json.dumps(head).encode() + b"\n" + b"".join(files.values())


def lines_of(content: bytes) -> list[dict]:
    return [json.loads(line) for line in content.splitlines()]


@pytest.mark.parametrize("token", ["", "wrong", "x" * 32, "%00", "%C3%A9%ED%A0%80"])
def test_nobody_without_the_token_is_answered(masks, token):
    for method, path in [("GET", "/"), ("GET", "/page.css"), ("POST", "/segment")]:
        status, content, _ = ask(masks, method, path, token=token)
        assert status == 403
        assert b"token" in content
    assert ask(masks, "GET", "", token=masks.token)[0] == 403  # without the slash, relative names would lead elsewhere


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example:80", "", None, "0.0.0.0:1"]
)
def test_a_name_of_the_web_that_was_rebound_to_this_machine_is_refused(masks, host):
    status, content, _ = ask(masks, "GET", "/", headers={"Host": host})
    assert status == 403
    assert b"this machine alone" in content


@pytest.mark.parametrize("host", ["localhost:9999", "127.0.0.1", "LOCALHOST:1", "[::1]:80"])
def test_the_machine_has_names_of_its_own_and_a_tunnel_another_port(masks, host):
    assert ask(masks, "GET", "/", headers={"Host": host})[0] == 200


def test_it_listens_on_the_loopback_alone_and_loads_nothing_from_elsewhere(masks):
    assert masks.server_address[0] == "127.0.0.1"
    assert len(masks.token) >= 32
    status, content, headers = ask(masks, "GET", "/")
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert b"http" not in content.replace(b"http-equiv", b"")
    with LocalServer(masks.site) as other:
        assert other.token != masks.token


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Length": str(LARGEST_BYTES + 1)}, 413),
        ({"Content-Length": "9" * 40}, 413),
        ({"Content-Length": None}, 411),
        ({"Content-Length": "-1"}, 411),
        ({"Content-Length": "many"}, 411),
        ({"Content-Length": None, "Transfer-Encoding": "chunked"}, 411),
    ],
)
def test_a_request_says_how_large_it_is_and_is_not_too_large(masks, headers, status):
    assert ask(masks, "POST", "/segment", headers=headers)[0] == status


BEYOND = ["../beyond.png", "a/../../beyond.png", "..\\beyond.png", "/beyond.png", "C:/../beyond.png", "", "..", "a/",
          "beyond\0.png", "beyond\n.png", "./beyond.png", "x" * 300 + ".png"]  # fmt: skip


@pytest.mark.parametrize("name", BEYOND)
def test_no_name_of_a_file_leads_out_of_the_temporary_folder(masks, photo, name, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "inside"))
    (tmp_path / "inside").mkdir()
    status, content, _ = ask(masks, "POST", "/segment", upload({name: photo.read_bytes()}))
    assert status == 400
    assert b"no name of a file" in content
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["inside"]


@pytest.mark.parametrize(
    "path",
    ["/..", "/../..", "/page.css/..", "/%2e%2e/%2e%2e/etc/passwd", "/answers/1/../file", "/answers/-1/image/0.png",
     "/answers/1/image/99999999999.png", "/answers/1/image", "/answers/x/file", "/answers/%31/%2e%2e/0.png",
     "/samples/x", "/answers/99999999999999999999/file", "/serve.html.jinja", "/nothing"],
)  # fmt: skip
def test_there_is_nothing_beside_the_page_and_its_answers(masks, path):
    status, content, _ = ask(masks, "GET", path)
    assert status in (404, 410)
    assert b"root:" not in content


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "begins with a line"),
        (b"\xff\xfe\n", "begins with a line"),
        (b"[]\n", "begins with a line"),
        (b'{"files": [{"name": "a.png"}]}\n', "begins with a line"),
        (b"[" * 100_000 + b"\n", "begins with a line"),
        (b'{"files": [{"name": "a.png", "size": 7}]}\nabc', "not as large"),
        (b'{"files": [{"name": "a.png", "size": -3}]}\n', "not as large"),
        (b'{"files": []}\nabc', "not as large"),
        (upload({}), "this is no image"),
        (upload({"notes.txt": b"hello"}), "this is no image"),
        (upload({"a.png": b"x"}, members=0), "members is '0': give a whole number from 1 to 64"),
        (upload({"a.png": b"x"}, members=1e9), "members is"),
        (upload({"a.png": b"x"}, steps="all"), "steps is 'all'"),
        (upload({"a.png": b"x"}, steps=True), "steps is 'True'"),
        (upload({"bomb.zip": b"PK\x03\x04 no archive"}), "archive"),
    ],
)
def test_what_is_no_image_is_refused_with_a_sentence(masks, body, words):
    status, content, _ = ask(masks, "POST", "/segment", body)
    assert status == 400
    assert words in content.decode()
    assert "Traceback" not in content.decode()


def test_a_picture_comes_back_as_load_segments_it(masks, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    broken = photo.read_bytes()[:100]
    body = upload({"study/mole.png": photo.read_bytes(), "study/broken.png": broken}, members=3, steps=2)
    status, content, _ = ask(masks, "POST", "/segment", body)
    first, *answers = lines_of(content)
    assert (status, first) == (200, {"inputs": 2})
    problem, answer = answers
    assert problem["name"] == "broken"
    assert str(tmp_path) not in problem["problem"]
    expected = meddiff.load("dermoscopy-masks", members=3, steps=2).answer(
        meddiff.load("dermoscopy-masks", members=3, steps=2).picture(photo)
    )
    assert answer["members"] == 3
    assert answer["uncertainty"] == pytest.approx(expected.uncertainty)
    _, stored, headers = ask(masks, "GET", f"/answers/{answer['id']}/file")
    assert "mole_mask.png" in headers["Content-Disposition"]
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(stored))), expected.classes)
    _, shown, _ = ask(masks, "GET", f"/answers/{answer['id']}/image/0.png")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(shown))), read_pixels(photo)[0])
    _, mask, _ = ask(masks, "GET", f"/answers/{answer['id']}/mask-0/0.png")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(mask)))[..., 3] > 0, expected.classes > 0)
    for layer in ("mask-3", "entropy", "deviation"):
        assert ask(masks, "GET", f"/answers/{answer['id']}/{layer}/0.png")[0] == 200
    for layer in ("mask-4", "mask-", "mask-0x", "nothing"):
        assert ask(masks, "GET", f"/answers/{answer['id']}/{layer}/0.png")[0] == 404
    assert list(tmp_path.iterdir()) == []  # what was sent is gone


@pytest.mark.parametrize("count", [1, 3])
def test_a_series_is_shown_slice_by_slice_a_single_one_too(masks, tmp_path, count):
    write_series(tmp_path, count=count)
    files = {f"a/{file.name}": file.read_bytes() for file in tmp_path.iterdir()}
    _, content, _ = ask(masks, "POST", "/segment", upload(files, members=2, steps=1))
    _, answer = lines_of(content)
    assert answer["planes"] == count
    _, shown, _ = ask(masks, "GET", f"/answers/{answer['id']}/mask-2/{count - 1}.png")
    assert Image.open(io.BytesIO(shown)).size == (6, 5)  # columns and rows of the series
    assert answer["unlike"]  # gray
    stored = tmp_path / "mask.nii.gz"
    stored.write_bytes(ask(masks, "GET", f"/answers/{answer['id']}/file")[1])
    series = load_volume(tmp_path / "0.dcm") if count == 1 else load_volume(tmp_path)
    assert np.allclose(load_volume(stored).affine, series.affine)


def test_an_archive_of_pictures_is_unpacked_and_old_answers_go(masks, photo, monkeypatch):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(photo, "a/one.png")
        archive.write(photo, "b/two.png")
    monkeypatch.setattr(sites, "MOST_KEPT_BYTES", 1)
    _, content, _ = ask(masks, "POST", "/segment", upload({"both.zip": packed.getvalue()}, members=1, steps=1))
    _, one, two = lines_of(content)
    assert [one["name"], two["name"]] == ["one", "two"]
    assert ask(masks, "GET", f"/answers/{one['id']}/file")[0] == 410
    assert ask(masks, "GET", f"/answers/{two['id']}/file")[0] == 200


def test_images_are_those_of_generate_and_come_with_their_table(drawing, generator):
    asked = {"label": generator.class_names[0], "attributes": {}, "count": 2, "seed": 7, "guidance": 2.0, "steps": 2}
    status, content, _ = ask(drawing, "POST", "/draw", json.dumps(asked).encode())
    *images, last = lines_of(content)
    assert (status, [one["seed"] for one in images], last) == (200, [7, 8], {"archive": "drawn.zip"})
    with zipfile.ZipFile(io.BytesIO(ask(drawing, "GET", "/drawn.zip")[1])) as archive:
        table = pd.read_csv(archive.open("images.csv"))
        stored = [np.asarray(Image.open(archive.open(name))) for name in table["file"]]
    assert table["label"].tolist() == [generator.class_names[0]] * 2
    for seed, picture in zip((7, 8), stored, strict=True):
        (expected,) = meddiff.generate(generator, [0], [seed], guidance=2.0, steps=2)
        assert np.array_equal(picture, to_pixels(expected.numpy()))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"label": "unicorn"}, "unicorn"),
        ({"label": ["a"]}, "a class is a text"),
        ({"attributes": {"age": 1}}, "age"),
        ({"attributes": 7}, "attributes are named"),
        ({"count": 1e6}, "count is"),
        ({"count": 0}, "count is"),
        ({"count": 1.5}, "a whole number"),
        ({"seed": -1}, "seed is"),
        ({"guidance": float("nan")}, "guidance is"),
        ({"guidance": 1e300}, "guidance is"),
        ({"steps": None}, "steps is"),
    ],
)
def test_what_cannot_be_drawn_is_refused(drawing, changed, words):
    asked = {"label": None, "attributes": {}, "count": 1, "seed": 0, "guidance": 1, "steps": 1} | changed
    status, content, _ = ask(drawing, "POST", "/draw", json.dumps(asked).encode())
    assert status == 400
    assert words in content.decode()


def test_what_is_no_request_to_draw_is_refused(drawing):
    for body in (b"", b"[]", b"{" * 1000, b'{"a": "' + b"x" * 70_000 + b'"}'):
        assert ask(drawing, "POST", "/draw", body)[0] == 400


def test_a_run_of_another_kind_and_a_port_that_is_taken_are_refused(masks, tmp_path):
    with pytest.raises(InputError, match="is no run folder"):
        site_of(str(tmp_path), "diffusion")
    with pytest.raises(InputError, match="Name another one"):
        LocalServer(masks.site, masks.server_address[1])


def begun(folder: Path, recipe) -> RunFolder:
    folder.mkdir()
    (folder / "recipe.yaml").write_text(yaml.safe_dump(to_dict(recipe)), encoding="utf-8")
    return RunFolder(folder)


def log_of(file: Path, steps: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [{"step": step, "loss": 1 / step, "gradient_norm": 1.0, "learning_rate": 1e-4, "images_per_second": 50.0}
             for step in range(1, steps + 1)]  # fmt: skip
    pd.DataFrame(lines).to_csv(file, index=False)


def test_a_run_says_whether_it_has_begun_runs_was_stopped_or_is_finished(tmp_path):
    assert "no run in" in state_now(RunFolder(tmp_path / "later"))["state"]
    folder = begun(tmp_path / "run", SegmentRecipe())
    assert state_now(folder)["state"] == "Begun; stopped: the same command goes on."
    assert not (folder.path / ".lock").exists()  # looking leaves nothing behind
    with FileLock(folder.path / ".lock"):
        assert state_now(folder)["state"] == "Begun; running."
    log_of(folder.models / "diffusion" / "log.csv", 30)
    pd.DataFrame({"step": [10, 20, 30], "dice": [0.2, 0.6, 0.5]}).to_csv(
        folder.models / "diffusion" / "validation.csv", index=False
    )
    (network,) = state_now(folder)["networks"]
    assert (network["name"], network["step"]) == ("diffusion", 30)
    assert "best 0.600 at step 20" in network["figures"][1]["aside"]
    (folder.models / "diffusion" / "log.csv").write_text("step,lo")  # half of a line
    assert state_now(folder)["networks"] == []
    for stage in ("manifest", "train", "baselines", "calibrate", "evaluate", "report"):
        folder.finish(stage, "", [], seconds=61.0)
    now = state_now(folder)
    assert (now["state"], now["ended"]) == ("Finished.", True)
    assert all(stage["took"] == "took 1 min 01 s" for stage in now["stages"])
    folder.stages.write_text("{", encoding="utf-8")
    assert "damaged" in state_now(folder)["state"]


def test_of_a_run_its_samples_and_report_alone_are_given_away(tmp_path):
    folder = begun(tmp_path / "run", Recipe())
    folder.samples.mkdir()
    Image.new("RGB", (8, 8)).save(folder.samples / "step_00000010.png")
    (folder.samples / "secret.png").write_bytes(b"secret")
    with served(RunSite(str(folder.path))) as server:
        assert ask(server, "GET", "/samples/step_00000010.png")[0] == 200
        for path in ("/samples/secret.png", "/samples/../recipe.yaml", "/recipe.yaml", "/report.html", "/samples/"):
            assert ask(server, "GET", path)[0] == 404, path
        assert ask(server, "POST", "/state")[0] == 404


STICKING_OUT = """[...document.querySelectorAll("main *")]
    .filter(part => part.getBoundingClientRect().right > innerWidth + 1).map(part => part.outerHTML)"""
UNNAMED = """[...document.querySelectorAll("input, select, button, a")].filter(field => !field.closest("[hidden]") &&
    !(field.labels && field.labels.length) && !field.textContent.trim()).map(field => field.outerHTML)"""
DONE = "document.querySelector('#status').textContent.startsWith('Done')"


def looks_whole(browser, width) -> None:
    assert browser.evaluate("document.documentElement.scrollWidth") == width
    assert browser.evaluate(STICKING_OUT) == []
    assert browser.evaluate(UNNAMED) == []
    # canceled is what the page gives up itself: an image as another one is asked for, and in chromium every request
    # that sent files, once its answer was read to the end
    assert [one for one in browser.complaints() if "'canceled': True" not in one] == []


@pytest.mark.parametrize("width", [400, 1600])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_person_segments_a_picture(browser, masks, photo, tmp_path, width, dark):
    hostile = tmp_path / f"{NAME}.png"
    hostile.write_bytes(photo.read_bytes())
    browser.open(masks.address, width=width, dark=dark)
    browser.choose("#files", [photo, hostile])
    browser.evaluate("document.querySelector('#members').value = 2; document.querySelector('#steps').value = 1")
    browser.evaluate("document.querySelector('#go').click()")
    assert browser.wait(DONE)
    assert browser.evaluate("document.querySelectorAll('#answers button').length") == 2
    assert browser.evaluate("document.title") == "Segment with dermoscopy-masks"
    for layer in ("entropy", "deviation", "none", "mask"):
        browser.evaluate(f"document.querySelector('[value={layer}]').click()")
        shown = "[...document.querySelectorAll('.stage img')].filter(i => !i.hidden)"
        assert browser.wait(f"{shown}.every(i => i.complete && i.naturalWidth == 64)"), layer
    browser.evaluate("document.querySelector('#member').focus()")
    browser.press("ArrowRight")
    assert browser.wait("document.querySelector('#above').src.includes('mask-1/')")
    assert "member 1 of 2" in browser.evaluate("document.querySelector('#of-members').textContent")
    looks_whole(browser, width)
    assert all(request.startswith(masks.address) for request in browser.requests())


def test_a_person_hears_what_is_wrong(browser, masks, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    browser.open(masks.address, width=1000)
    browser.evaluate("document.querySelector('#go').click()")
    assert "Choose an image first" in browser.evaluate("document.querySelector('#status').textContent")
    browser.choose("#files", [tmp_path / "broken.png"])
    browser.evaluate("document.querySelector('#go').click()")
    assert browser.wait("document.querySelectorAll('#problems .problem').length == 1")
    assert "broken" in browser.evaluate("document.querySelector('#problems').textContent")


@pytest.mark.parametrize("width", [400, 1600])
def test_a_person_draws_images(browser, drawing, width):
    browser.open(drawing.address, width=width)
    browser.evaluate("document.querySelector('#count').value = 2; document.querySelector('#go').click()")
    assert browser.wait(DONE)
    assert browser.wait("document.querySelectorAll('.drawn img').length == 2")
    assert browser.evaluate("!document.querySelector('#save').hidden")
    assert NAME in browser.evaluate("document.querySelector('#label').textContent")
    assert browser.evaluate("document.title") == "Draw with somewhere"
    looks_whole(browser, width)


def test_a_person_tells_what_the_network_knows_beside_the_class(browser, generator):
    each = (ImageAttribute("age_years", seen=(20, 80), usual=(25, 75)), ImageAttribute("sex", names=("female", "male")))
    with served(ImageSite("somewhere", replace(generator, attributes=Attributes(each)))) as server:
        browser.open(server.address, width=400)
        assert browser.evaluate("document.querySelector('[data-attribute=age_years]').placeholder") == "20 to 80"
        assert browser.evaluate("document.querySelectorAll('[data-attribute=sex] option').length") == 3
        looks_whole(browser, 400)
        asked = {"label": None, "attributes": {"sex": "unknown"}, "count": 1, "seed": 0, "guidance": 1, "steps": 1}
        assert ask(server, "POST", "/draw", json.dumps(asked).encode())[0] == 400


@pytest.mark.parametrize("width", [400, 1600])
def test_a_person_watches_a_run_as_it_goes_on(browser, tmp_path, width):
    with served(RunSite(str(tmp_path / "run"))) as server:
        browser.open(server.address, width=width)
        status = "document.querySelector('#status').textContent"
        assert browser.wait(f"{status}.includes('no run')")
        folder = begun(tmp_path / "run", Recipe())
        log_of(folder.log, 40)
        folder.samples.mkdir()
        Image.new("RGB", (600, 80)).save(folder.samples / "step_00000010.png")
        assert browser.wait(f"{status}.includes('stopped')")
        assert browser.wait("document.querySelectorAll('.sheets img').length == 1 && document.images[0].complete")
        assert browser.evaluate("document.querySelectorAll('#networks polyline').length") == 2
        assert "step 40 of" in browser.evaluate("document.querySelector('#networks').textContent")
        looks_whole(browser, width)
