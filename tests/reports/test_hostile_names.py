"""Names come from other people's files: no writer of a report obeys one, and each shows it as it is."""

import html
import json

import numpy as np
import pytest
import yaml
from markdown_it import MarkdownIt
from test_report import Outline

from meddiff.files.printable import printable
from meddiff.images.views import grid_image
from meddiff.reports import figures
from meddiff.reports.figures import Interval, Key, Series
from meddiff.reports.galleries import Pictures, beside, thumbnail
from meddiff.reports.literature import cited
from meddiff.reports.report import (
    HEADINGS,
    Folded,
    Heading,
    Legend,
    Lines,
    Note,
    Report,
    Section,
    card_head,
    model_card,
)
from meddiff.reports.tabular import from_records, settings_table
from meddiff.reports.write import as_card, as_html, as_json, as_markdown

NAMES = [
    "<script>alert(1)</script>", "</td><td>x", "<!-- x", "]]>", "&lt;b&gt;", "a&b", "\"><img src=x onerror=alert(1)>",
    "a|b", "||", "a\\|b", "\\", "a\\", "C:\\dir\\'quoted' \"path\"", "*x*", "**x**", "_x_", "__x__", "a_b_c", "~~x~~",
    "`x`", "```", "~~~", "[x](javascript:alert(1))", "![x](http://a/b.png)", "[x]: http://a", "[x][y]", "](", "# x",
    "###### x", "#", "- x", "+ x", "-", "---", "***", "___", "- - -", "1. x", "12) x", "> x", "=", "===", "$x$",
    "{{ 7 * 7 }}", "{% raw %}", "${x}", "x\ny", "a\r\nb|c", "a\tb", "a\u2028b", "\x1b[31mred", "\u202eexe.live",
    "x\x00y", "é漢字🙂", "NA", "null", "true", "0", "=1+1", "@x", "a: b", "%",
]  # fmt: skip


def report_of(name: str) -> Report:
    """A report in which everything that can be a name is this one."""
    rows = [{"model": name, "estimate": 0.5, "low": 0.4, "high": 0.6, name or "x": name}]
    table, settings = from_records(rows, f"of {name}"), settings_table({name: name, "inner": {name: [name]}}, name)
    assert table is not None
    assert settings is not None
    picture = thumbnail(np.zeros((4, 4, 3), np.uint8), name, name)
    drawn = (figures.forest(name, [Interval(name, 0.5, 0.4, 0.6, True)]),
             figures.lines(name, [Series(name, np.arange(3.0), np.arange(3.0))], axes=(name, name),
                           x_domain=(0.0, 2.0)))  # fmt: skip
    pictures: Pictures = beside(name, [(name, [picture])])
    parts = (name, Note(name), Lines((name, name)), Heading(name), Legend((Key(name, "dot"),)), table, settings,
             *drawn, pictures, Folded(name, (name, table)))  # fmt: skip
    index = [{"name": name, "results": []}]
    card = model_card(
        name, card_head("image-segmentation", [name], index, phantom=True, license=name),
        {heading: [name, Lines((name,)), table] for heading in HEADINGS},
    )  # fmt: skip
    return Report(
        kind="segmentation", title=name, headline=name, phantom=True, sections=(Section("numbers", name, parts),),
        methods=cited([(name, ())]), limitations=(name,), provenance={name: name, "seen": {"x": [name]}},
        values={"reference": name}, card=card,
    )  # fmt: skip


def shown(name: str) -> str:
    """A name as one line of text has it."""
    return " ".join(printable(name).split())


def texts_of(markdown: str) -> tuple[list[str], set[str]]:
    """The texts that a reader sees, paragraph by paragraph and cell by cell, and the kinds of all that is obeyed."""
    texts, kinds = [], set()
    for token in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(markdown):
        kinds.add(token.type)
        if token.type == "inline":
            kinds |= {part.type for part in token.children or ()}
            texts.append("".join(part.content for part in token.children or ()))
    return texts, kinds


FORBIDDEN = {"html_block", "html_inline", "em_open", "s_open", "link_open", "image", "code_inline", "code_block",
             "fence", "hr", "ordered_list_open", "softbreak", "hardbreak"}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_markdown_shows_each_name_and_obeys_none(name):
    report = report_of(name)
    assert report.card is not None
    for text in (as_markdown(report), as_card(report.card).split("---\n", 2)[2]):
        assert "\x1b" not in text
        texts, kinds = texts_of(text)
        assert not kinds & FORBIDDEN, kinds & FORBIDDEN
        plain, cells = shown(name), [one for one in texts if one == shown(name)]
        if not plain:
            continue
        assert len(cells) >= 6, "paragraph, note, lines, cells"
        assert all(plain in one for one in texts if one.startswith("of "))
    assert texts_of(as_markdown(report))[0][0] == shown(name), "the title"


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_each_name_and_obeys_none(name):
    page, usual = as_html(report_of(name)), as_html(report_of("usual"))
    kinds = {}
    for key, text in (("here", page), ("usual", usual)):
        outline = Outline()
        outline.feed(text)
        assert outline.open == []
        kinds[key] = (
            text.count("<script"),
            text.count("<img"),
            text.count("<td"),
            text.count("<text"),
            text.count("<li"),
        )
    assert kinds["here"] == kinds["usual"], "no name makes an element"
    assert html.unescape(page).count(name) >= 6


@pytest.mark.parametrize("name", NAMES)
def test_json_and_the_head_of_the_card_hold_each_name_as_it_is(name):
    report = report_of(name)
    assert report.card is not None
    values = json.loads(as_json(report))
    assert (values["title"], values["headline"], values["reference"]) == (name, name, name)
    assert values["provenance"] == {name: name, "seen": {"x": [name]}}
    head = yaml.safe_load(as_card(report.card).split("---\n")[1])
    assert head["model-index"] == [{"name": name, "results": []}]
    assert name in head["tags"]
    assert head["license"] == "other"


@pytest.mark.parametrize("name", NAMES)
def test_a_sheet_of_pictures_takes_each_name(name):
    tile = np.zeros((40, 40, 3), np.uint8)
    plain, named = (grid_image([tile], 1, 1, captions=[caption]) for caption in ("x", name))
    assert named.shape == plain.shape, "a caption is one line"
