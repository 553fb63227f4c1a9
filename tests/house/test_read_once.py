"""An augmentation study parses its manifest once and decodes each image once, however many stages and arms it has."""

from collections import Counter
from pathlib import Path

import pytest

from meddiff.cache import image_array
from meddiff.manifest import table
from meddiff.pipelines import augment
from tests.pipelines.small import arguments, draw


@pytest.fixture
def seen(monkeypatch) -> dict[str, Counter]:
    """How often each file was parsed as a manifest, and decoded as a picture."""
    parsed, decoded = Counter(), Counter()
    parse, prepare = table._read_cells, image_array.prepare

    def counted_parse(path: Path):
        parsed[path.name] += 1
        return parse(path)

    def counted_prepare(row, transform):
        decoded[row.image_file] += 1
        return prepare(row, transform)

    monkeypatch.setattr(table, "_read_cells", counted_parse)
    monkeypatch.setattr(image_array, "prepare", counted_prepare)
    return {"parsed": parsed, "decoded": decoded}


def test_a_study_reads_once(tmp_path, seen):
    images = draw(tmp_path / "images", {"a": 24, "b": 24, "c": 24})
    assert augment.main(arguments(tmp_path, tmp_path / "run", "--data-root", images)) == 0
    assert seen["parsed"]["manifest.csv"] == 1
    drawn = list((tmp_path / "run" / "synthetic").rglob("*.png"))
    assert drawn
    assert set(seen["decoded"]) == {*images.rglob("*.jpg"), *drawn}
    assert set(seen["decoded"].values()) == {1}
