"""What describes an image beside its class becomes numbers and back; what a network cannot know is refused by name."""

import logging

import numpy as np
import pytest
import torch

from meddiff.batches.image_attributes import Attributes, learned_from, values_of, with_values
from meddiff.errors import InputError
from meddiff.manifest.table import read_manifest, write_manifest
from tests.manifest.rows import example_row

VALUES = [
    {"age_years": age, "sex": sex, "field": field}
    for age, sex, field in [(20.0, "female", "1.5"), (40.0, "male", "3"), (60.0, None, "1.5"), (None, "male", "7")]
]
NAMES = ("age_years", "sex", "field")


@pytest.fixture
def learned() -> Attributes:
    return learned_from(NAMES, VALUES)


def test_numbers_and_names_are_known_by_their_values(learned):
    age, sex, field = learned.each
    assert (age.names, age.seen) == ((), (20.0, 60.0))
    assert sex.names == ("female", "male")
    assert (field.names, field.seen) == ((), (1.5, 7.0)), "a cell of the manifest is a number where all are"
    assert learned_from(["scanner"], [{"scanner": "1"}, {"scanner": "b"}]).each[0].names == ("1", "b")


def test_values_come_back_from_numbers(learned):
    numbers = learned.numbers(VALUES)
    assert np.isnan(numbers[2, 1])
    back = [learned.values(one) for one in numbers]
    assert back[0] == {"age_years": 20.0, "sex": "female", "field": 1.5}
    assert back[2] == {"age_years": 60.0, "field": 1.5}


def test_features_are_of_one_length_and_zero_where_unknown(learned):
    features = learned.features(torch.from_numpy(learned.numbers(VALUES)))
    assert features.shape == (4, 3, learned.length)
    lengths = features.square().sum(-1)
    known = ~torch.from_numpy(learned.numbers(VALUES)).isnan()
    torch.testing.assert_close(lengths, known.float() * learned.length)
    apart = torch.cdist(features[:3, 0], features[:3, 0])[~torch.eye(3, dtype=bool)]
    assert apart.min() > 0.5, "three ages are three vectors"


def test_nearer_numbers_have_nearer_features(learned):
    ages = [{"age_years": float(age)} for age in range(20, 61, 5)]
    vectors = learned.features(torch.from_numpy(learned.numbers(ages)))[:, 0]
    away = (vectors - vectors[0]).norm(dim=1)
    assert (away[:4].diff() > 0).all()
    assert away[1:].min() > 0.3, "no other age looks like the first"


def test_they_survive_json(learned):
    assert Attributes.from_dict(learned.to_dict()) == learned
    assert Attributes.from_dict({}) == Attributes()
    assert not Attributes()


@pytest.mark.parametrize(
    "damaged", [{"age": 3}, [], {"age": {"seen": [1, 2], "size": [3]}}, {"a": {"usual": ["x", 1]}}]
)
def test_damaged_ones_are_refused(damaged):
    with pytest.raises(InputError, match="damaged"):
        Attributes.from_dict(damaged or 3)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"sex": "m"}, "sex is 'm', which no training image has: use female, male"),
        ({"age_years": "old"}, "age_years is 'old': give a number; training images have 20 to 60"),
        ({"age_years": "nan"}, "give a number"),
        ({"hair": "red"}, "knows no hair: it knows age_years, sex, field"),
    ],
)
def test_what_it_cannot_know_is_refused(learned, asked, sentence):
    with pytest.raises(InputError, match=sentence):
        learned.given(asked)
    with pytest.raises(InputError, match="by their class alone"):
        Attributes().given({"sex": "male"})


def test_a_number_that_was_never_seen_is_a_warning(learned, caplog):
    with caplog.at_level(logging.WARNING):
        assert learned.given({"age_years": "95", "sex": "male"}) == {"age_years": 95.0, "sex": "male"}
    assert "age_years is 95, and training images have 20 to 60" in caplog.text
    caplog.clear()
    learned.given({"age_years": 30})
    assert not caplog.text


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("site", [None, None], "site, which none of the 2 training images has: fill in the column site"),
        ("scanner", [None], r"fill in a column attributes of the manifest \(scanner=value;...\)"),
        ("size", [None], "fill in their masks"),
        ("sex", ["male", None, "male"], "'male' in all training images"),
        ("name", [f"p{number}" for number in range(200)], "200 different values"),
    ],
)
def test_nothing_to_learn_is_said_before_training(name, values, sentence):
    with pytest.raises(InputError, match=sentence):
        learned_from([name], [{name: value} for value in values])


def test_a_row_keeps_what_its_image_was_drawn_by(tmp_path):
    (tmp_path / "a.png").touch()
    plain = example_row(root=tmp_path)
    made = with_values(plain, {"age_years": 70.0, "sex": "female", "scanner": "Aera", "size": 0.25})
    assert (made.age_years, made.sex, made.attributes) == (70.0, "female", "scanner=Aera;size=0.25")
    write_manifest([made], tmp_path / "m.csv")
    (again,) = read_manifest(tmp_path / "m.csv")
    assert again == made
    assert values_of(again, ["sex", "size", "hair"]) == {"sex": "female", "size": "0.25", "hair": None}
    assert with_values(plain, {}) == plain
