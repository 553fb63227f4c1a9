"""Files of a run folder and tables that somebody else has written: each is read or refused, and does nothing."""

import io
import json
import tracemalloc
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from meddiff.errors import InputError
from meddiff.files.cells import bare, shielded
from meddiff.files.documents import read_json, read_yaml
from meddiff.files.long_tables import read_table, write_table
from meddiff.files.printable import printable
from meddiff.jobs.looks import best_step_in
from meddiff.jobs.progress import bar, new_console
from meddiff.manifest.table import read_manifest, write_manifest
from meddiff.recipe import Recipe
from meddiff.recipe.segment import SegmentRecipe
from meddiff.recipe.values import from_dict, to_dict
from meddiff.run import RunFolder
from meddiff.sources.isic.ph2 import _read_spreadsheet
from meddiff.trained import load
from meddiff.training import checkpoint
from tests.manifest.rows import example_row

ANCHORS = "a: &a [x, x, x]\n" + "".join(
    f"{two}: &{two} [*{one}, *{one}, *{one}]\n" for one, two in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ANCHORS, "no anchors"),
        ("a: " + "[" * 100 + "]" * 100, "32 levels"),
        ("a: " + "[" * 60_000, "levels"),
        ("a: " + "{b: " * 20_000, "levels"),
        ("a: 1\n" * 40_000, "bytes"),
        ("a: !!python/object/apply:os.system [id]", "is not YAML"),
        ("a: !!python/name:os.system", "is not YAML"),
        ("a: [", "is not YAML"),
        ("a: \0", "is not YAML"),
    ],
)
def test_hostile_yaml(tmp_path, text, words):
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(InputError, match=f"recipe.yaml .*{words}"):
        read_yaml(tmp_path / "recipe.yaml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 200_000, "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "holds list"),
        (b"3", "holds int"),
        (b'{"a": \xff}', "UTF-8"),
        (b"", "not JSON"),
    ],
)
def test_hostile_json(tmp_path, content, words):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize("kind", [Recipe, SegmentRecipe])
@pytest.mark.parametrize(
    "change",
    [
        {"seed": "x"}, {"seed": [1]}, {"seed": None}, {"seed": True}, {"training": 3}, {"training": []},
        {"training": None}, {"training": {"steps": "many"}}, {"training": {"steps": {"a": 1}}}, {"data": 1},
        {"data": {"image_size": "large"}},
        {"training": {"learning_rate": "nan"}}, {"nonsense": 1}, {"training": {"nonsense": 1}},
    ],
)  # fmt: skip
def test_recipes_of_wrong_types(kind, change):
    values = to_dict(kind())
    for name, value in change.items():
        values[name] = {**values[name], **value} if isinstance(value, dict) else value
    with pytest.raises(InputError):
        from_dict(kind, values)


@pytest.mark.parametrize("values", [None, 3, "text", [1, 2], [["seed", 1]]])
def test_what_is_no_recipe(tmp_path, values):
    with pytest.raises(InputError):
        from_dict(Recipe, values)
    (tmp_path / "recipe.yaml").write_text(json.dumps(values))
    with pytest.raises(InputError):
        load(tmp_path)


def stored(folder, **changed):
    """A checkpoint of somebody's own making."""
    path = folder / "step_00000001"
    path.mkdir(parents=True)
    facts = {
        "class_names": ["a", "b"], "image_size": 32, "channels": 3, "network": {"name": "unet"}, "schedule": "cosine",
        "timesteps": 100, "schedule_digest": "x", "prediction": "v", "data_range": [-1, 1], "pixel_dtype": "uint8",
        "manifest_sha256": "", "recipe": to_dict(Recipe()), "versions": {},
    }  # fmt: skip
    index = {"step": 1, "final": True, "stopped": False, "sha256": {}, "facts": facts | changed.pop("facts", {})}
    (path / checkpoint.INDEX).write_text(json.dumps(index | changed))
    return path


@pytest.mark.parametrize(
    "changed",
    [
        {"step": "x"}, {"step": None}, {"sha256": 3}, {"sha256": []}, {"facts": {"class_names": 3}},
        {"facts": {"class_names": [1, 2]}}, {"facts": {"image_size": "x"}}, {"facts": {"network": []}},
        {"facts": {"recipe": "x"}}, {"facts": {"data_range": None}}, {"facts": {"timesteps": []}},
        {"facts": {"odd": 1}},
    ],
)  # fmt: skip
def test_checkpoints_of_wrong_types(tmp_path, changed):
    with pytest.raises(InputError):
        checkpoint.read(stored(tmp_path, **changed))


def test_weights_of_others(tmp_path):
    network = torch.nn.Linear(2, 2)
    path = stored(tmp_path)
    one = checkpoint.read(path)
    file = path / checkpoint.AVERAGE

    def refused(words):
        from meddiff.files.content import sha256_of

        claimed = replace(one, sha256={checkpoint.AVERAGE: sha256_of(file)})
        with pytest.raises(InputError, match=words):
            checkpoint.load_weights(claimed, network)

    save_file({"weight": torch.full((2, 2), torch.nan), "bias": torch.zeros(2)}, file)
    refused("no numbers")
    save_file({"weight": torch.zeros(3, 2), "bias": torch.zeros(2)}, file)
    refused("does not fit")
    header = json.dumps({"weight": {"dtype": "F32", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 16]}}).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    refused("no safetensors file")
    file.write_bytes(b"\x80\x04\x95")
    refused("no safetensors file")


@pytest.mark.parametrize("value", ['"x"', "null", "[]", "-1", "0", "true", "NaN", "1e999"])
def test_temperatures_of_others(tmp_path, value):
    from meddiff.run import RunFolder
    from meddiff.trained import saved_temperature

    folder = RunFolder(tmp_path)
    folder.temperatures.parent.mkdir(parents=True, exist_ok=True)
    folder.temperatures.write_text(f'{{"diffusion": {value}}}')
    with pytest.raises(InputError, match="temperature of diffusion"):
        saved_temperature(folder, "diffusion")


def test_a_spreadsheet_that_swells_is_not_opened(tmp_path):
    with zipfile.ZipFile(tmp_path / "PH2_dataset.xlsx", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/worksheets/sheet1.xml", b"<row/>" * (20 << 20))
    with pytest.raises(InputError, match="unpacks to"):
        list(_read_spreadsheet(tmp_path / "PH2_dataset.xlsx"))
    (tmp_path / "PH2_dataset.xlsx").write_bytes(b"PK\3\4 nothing")
    with pytest.raises(InputError, match="not a spreadsheet"):
        list(_read_spreadsheet(tmp_path / "PH2_dataset.xlsx"))


FORMULAS = ["=1+1", '=HYPERLINK("http://x","y")', "+cmd|'/c calc'!A0", "-2+3", "@SUM(A1)", "\tx", "\r=x", "\n=x", "'=x",
            "''=x", "'+", "-", "+", "=", "@"]  # fmt: skip
PLAIN = ["", "a", "a=b", "'a", "-1", "+3.5", "-1e-5", "-.5", "1-2", "-inf", "nevus", "007", "'", "''"]


@pytest.mark.parametrize("text", FORMULAS + PLAIN)
def test_a_cell_comes_back_as_it_was(text):
    cell = shielded(text)
    assert bare(cell) == text
    assert (cell == text) == (text in PLAIN)
    assert cell in PLAIN or cell[0] not in "=+-@\t\r\n"


@pytest.mark.parametrize("text", [text for text in FORMULAS if "\r" not in text])
def test_tables_are_safe_to_open_and_read_back(tmp_path, text):
    table = pd.DataFrame({"case": [text, "b"], "dice": [-0.5, 1.0], "note": ["x", text], text: [1, 2]})
    write_table(table, tmp_path / "x.csv")
    raw = pd.read_csv(tmp_path / "x.csv", dtype=str)
    cells = [str(cell) for cell in [*raw.columns, *raw.to_numpy().ravel()]]
    assert not [cell for cell in cells if cell[0] in "=+@\t" or (cell[0] == "-" and cell != "-0.5")]
    back = read_table(tmp_path / "x.csv", ["case", "dice", "note", text])
    assert back["case"].tolist() == [text, "b"]
    assert back["note"].tolist() == ["x", text]
    assert back[text].tolist() == [1, 2]
    assert back["dice"].tolist() == [-0.5, 1.0]


@pytest.mark.parametrize("label", ["=1+1", "@x", "-a", "'=x"])
def test_manifests_are_safe_to_open_and_read_back(tmp_path, label):
    (tmp_path / "x.png").write_bytes(b"x")
    row = example_row("r", root=tmp_path, image_path="x.png", label=label)
    write_manifest([row], tmp_path / "manifest.csv")
    assert f",{label}," not in (tmp_path / "manifest.csv").read_text()
    assert read_manifest(tmp_path / "manifest.csv")[0].label == label


CONTROLS = ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\x08", "\r", "\x7f", "\u202egnp.exe", "\u2066x", "\x00"]


@pytest.mark.parametrize("text", CONTROLS)
def test_a_terminal_shows_controls_and_does_not_obey(text):
    shown = io.StringIO()
    console = new_console(file=shown, force_terminal=False, width=80)
    from rich.table import Table

    table = Table("name")
    table.add_row(f"a{text}b")
    for what in (f"a{text}b", table):
        console.print(what)
    console.log(f"a{text}b")
    list(bar(console, f"a{text}b", unit="cases")([1], 1))
    assert not [
        letter for letter in shown.getvalue() if letter in text and not (letter.isprintable() or letter == "\n")
    ]
    assert printable(f"a{text}b").isprintable()


def test_colors_of_the_program_itself_stay():
    shown = io.StringIO()
    new_console(file=shown, force_terminal=True, width=80, color_system="standard").print("x", style="bold red")
    assert "\x1b[1;31mx" in shown.getvalue()


def test_numbers_of_a_table_are_not_touched(tmp_path):
    table = pd.DataFrame({"x": np.array([-1.5, np.nan]), "n": [-3, 4], "row_id": ["-1", "+2"]})
    write_table(table, tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "x,n,row_id\n-1.5,-3,-1\n,4,+2\n"


@pytest.mark.parametrize("cell", ["x", "a,b", "9" * 400, "1 2", "--", "True", "0x1f", "[1]", "1_000"])
def test_a_text_where_a_number_belongs_is_refused(tmp_path, cell):
    write_table(pd.DataFrame({"case": ["a", "b", "c"], "dice": [1, cell, 3]}, dtype=object), tmp_path / "x.csv")
    with pytest.raises(InputError, match=r"x.csv is damaged .*column dice holds"):
        read_table(tmp_path / "x.csv", ["case", "dice"])
    assert read_table(tmp_path / "x.csv", ["case", "dice"], as_text=True)["dice"].tolist() == ["1", cell, "3"]


@pytest.mark.parametrize("cells", [["True", "no"], ["True", ""], ["1", "0"], ["True", "1"]])
def test_a_column_of_yes_and_no_holds_nothing_else(tmp_path, cells):
    write_table(pd.DataFrame({"row_id": ["a", "b"], "kept": cells}), tmp_path / "filter.csv")
    with pytest.raises(InputError, match="column kept holds"):
        read_table(tmp_path / "filter.csv", ["row_id", "kept"])


@pytest.mark.parametrize("content", ["step,dice\n", "step,dice\n,\n", "step,dice\ninf,0.5\n", "step,dice\n1,\n"])
def test_a_table_of_looks_without_a_look(tmp_path, content):
    (tmp_path / "validation.csv").write_text(content)
    with pytest.raises(InputError, match=r"validation.csv is damaged"):
        best_step_in(tmp_path / "validation.csv")


@pytest.mark.parametrize("key", ["3", "2026-01-01", "true", "1.5", "null"])
def test_names_of_settings_are_texts(tmp_path, key):
    for text in (f"{key}: 1", f"data: {{{key}: 1}}"):
        (tmp_path / "recipe.yaml").write_text(text)
        with pytest.raises(InputError, match="is no name of a setting"):
            read_yaml(tmp_path / "recipe.yaml")


@pytest.mark.parametrize(
    "entry",
    [
        {"seconds": []}, {"cpu_energy_wh": [[]]}, {"seconds": "x"}, {"inputs": 3}, {"outputs": {"a": 3}},
        {"outputs": [[1, 2]]},
    ],
)  # fmt: skip
def test_a_record_of_stages_of_wrong_types(tmp_path, entry):
    record = {"train": {"inputs": "x", "outputs": {"log.csv": "file"}, "seconds": 1.0, "gpu_energy_wh": None}}
    (tmp_path / "stages.json").write_text(json.dumps(record))
    assert RunFolder(tmp_path).record() == record
    record["train"] |= entry
    (tmp_path / "stages.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"stages.json is damaged"):
        RunFolder(tmp_path).record()


def test_a_spreadsheet_that_claims_gigabytes_takes_none(tmp_path):
    """Of an entry that says it is packed in 4 GB no more is asked for than the file has."""
    with zipfile.ZipFile(tmp_path / "PH2_dataset.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", b"x" * 1000)
    content = bytearray((tmp_path / "PH2_dataset.xlsx").read_bytes())
    for signature, offset in ((b"PK\3\4", 18), (b"PK\1\2", 20)):
        start = content.find(signature) + offset
        content[start : start + 4] = b"\xff\xff\xff\xfe"
    (tmp_path / "PH2_dataset.xlsx").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(InputError, match="not a spreadsheet"):
        list(_read_spreadsheet(tmp_path / "PH2_dataset.xlsx"))
    assert tracemalloc.get_traced_memory()[1] < 1 << 24
    tracemalloc.stop()
