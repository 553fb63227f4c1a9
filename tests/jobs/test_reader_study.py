"""A reader study from images to scores: the page knows nothing, the key all, and a browser answers as a reader does."""

import json
import re
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meddiff.errors import InputError
from meddiff.jobs.evaluate.reader_study import drawn
from meddiff.manifest.row import blank_row
from meddiff.pipelines import evaluate


def folder_of(place, count: int, kind: str, size: int = 24):
    generator = np.random.default_rng(len(kind))
    for at in range(count):
        (place / kind / f"class{at % 2}").mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (size, size, 3), np.uint8)
        Image.fromarray(pixels).save(
            place / kind / f"class{at % 2}" / f"{kind}{at}.{'jpg' if kind == 'real' else 'png'}"
        )
    return place / kind


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    place = tmp_path_factory.mktemp("readers")
    real, synthetic = folder_of(place, 14, "real", 40), folder_of(place, 12, "synthetic")
    words = ["--real", real, "--synthetic", synthetic, "--out", place / "study", "--images", "12", "--labels", "class."]
    assert evaluate.main(["reader_study", *map(str, words)]) == 0
    return place / "study"


def test_the_key_says_all_and_the_page_nothing(study):
    key = pd.read_csv(study / "key.csv")
    page = (study / "reader_study.html").read_text(encoding="utf-8")
    assert key["source"].value_counts().to_dict() == {"real": 6, "synthetic": 6}
    assert pd.crosstab(key["source"], key["label"]).to_numpy().tolist() == [[3, 3], [3, 3]]
    secrets = [*key["row_id"], *key["label"].unique(), str(study), "key.csv"]
    assert not [word for word in secrets if word in page]
    images = json.loads(re.search(r'id="images">(.*?)</script>', page, re.DOTALL).group(1))
    assert len(images) == 12
    assert {image["label"] for image in images} == {""}
    assert all(image["picture"].startswith("data:image/png;base64,") for image in images)
    sizes = {Image.open(study / "x.png").size for image in images if _written(study / "x.png", image["picture"])}
    assert sizes == {(24, 24)}  # the smaller of both kinds


def _written(path, address: str) -> bool:
    import base64

    return bool(path.write_bytes(base64.b64decode(address.partition(",")[2])))


def opened_with_what_was_kept(browser, page, tries: int = 20) -> None:
    """Opens the page until the reader's name is there: a browser hands what is stored from one page to the next
    in its own time, and a reader who closes a page and opens it again is slower than a test."""
    for _ in range(tries):
        browser.open(page, width=800)
        if browser.evaluate("document.getElementById('reader').value"):
            return
        time.sleep(0.2)
    raise AssertionError(f"nothing of what was answered was kept, opened {tries} times")


def test_a_reader_in_a_browser_answers_and_is_scored(study, browser, tmp_path, capsys):
    """Keys and buttons, back and forth, a reload in between; what is saved is scored."""
    browser.open(study / "reader_study.html", width=800)
    key = pd.read_csv(study / "key.csv")
    browser.evaluate("document.getElementById('begin').click()")
    assert browser.evaluate("document.getElementById('reading').hidden")  # without a name nobody begins
    browser.evaluate("document.getElementById('reader').value = 'A, \"B\"'; document.getElementById('begin').click()")
    for number, source in zip(key["number"], key["source"], strict=True):
        assert f"Image {number} of 12" in browser.evaluate("document.getElementById('where').textContent")
        rating = 6 if source == "synthetic" else 1
        if number == 5:  # an answer is changed
            browser.evaluate(f"document.querySelector('[data-rating=\"{7 - rating}\"]').click()")
            browser.evaluate("document.getElementById('back').click()")
            pressed = f"document.querySelector('[data-rating=\"{7 - rating}\"]').getAttribute('aria-pressed')"
            assert browser.evaluate(pressed) == "true"
        if number == 8:  # the page is closed and opened again
            opened_with_what_was_kept(browser, study / "reader_study.html")
            browser.evaluate("document.getElementById('begin').click()")
            assert "Image 8 of 12" in browser.evaluate("document.getElementById('where').textContent")
        browser.evaluate(f"document.querySelector('[data-rating=\"{rating}\"]').click()")
    assert "last image" in browser.evaluate("document.getElementById('done').textContent")
    take = """(async () => { let text; const plain = URL.createObjectURL;
        URL.createObjectURL = (blob) => { text = blob.text(); return plain(blob); };
        document.getElementById('save').click(); return await text; })()"""
    (tmp_path / "answers.csv").write_text(browser.evaluate(take), encoding="utf-8")
    assert browser.complaints() == []
    assert browser.requests() == [(study / "reader_study.html").resolve().as_uri()]
    capsys.readouterr()
    assert evaluate.main(["readers", str(tmp_path / "answers.csv"), "--key", str(study / "key.csv"),
                          "--out", str(tmp_path)]) == 0  # fmt: skip
    assert "The reader could tell synthetic images from real ones: 100% of 12 images right" in capsys.readouterr().out
    scores = pd.read_csv(tmp_path / "readers.csv")
    assert scores["reader"].tolist() == ['A, "B"', "all readers"]
    assert scores["accuracy"].tolist() == [1, 1]


def test_the_same_seed_draws_the_same_study_and_another_another(tmp_path):
    rows = {kind: [blank_row(f"{kind}{at}", f"{at}.png", tmp_path) for at in range(30)] for kind in ("a", "b")}
    first, again, other = (drawn(rows["a"], rows["b"], 20, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert len({row.row_id for row in first[0]}) == 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--images", "60"], "there are 12 of each (of 14 and 12). Ask for fewer: --images 24"),
        (["--images", "2"], "images"),
        (["--real", "nowhere"], "there is no such folder or manifest"),
    ],
)
def test_a_study_that_cannot_be_is_refused(tmp_path, capsys, words, said):
    real, synthetic = folder_of(tmp_path, 14, "real"), folder_of(tmp_path, 12, "synthetic")
    given = {"--real": real, "--synthetic": synthetic, "--out": tmp_path / "out"} | dict([words])
    assert evaluate.main(["reader_study", *(str(word) for pair in given.items() for word in pair)]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out" / "key.csv").exists()


def test_a_key_is_never_written_over(study, capsys):
    words = ["--real", study.parent / "real", "--synthetic", study.parent / "synthetic", "--out", study]
    assert evaluate.main(["reader_study", *map(str, words)]) == 2
    assert "holds the key of a study already" in capsys.readouterr().err


def test_classes_that_only_one_kind_has_are_not_shown(tmp_path):
    rows = {kind: [blank_row(f"{kind}{at}", f"{at}.png", tmp_path) for at in range(8)] for kind in ("a", "b")}
    for kind, labels in (("a", "xxxxyyyy"), ("b", "xxxxzzzz")):
        rows[kind] = [type(row)(**{**vars(row), "label": label}) for row, label in zip(rows[kind], labels, strict=True)]
    assert {row.label for row in drawn(rows["a"], rows["b"], 8, 0)[0]} == {"x"}
    with pytest.raises(InputError, match="there are 4 of each"):
        drawn(rows["a"], rows["b"], 10, 0)
