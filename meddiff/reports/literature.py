"""Citations of a report: the entries of literature.bib, as a reader wants them and as LaTeX does.

Every sentence of a methods paragraph names the keys that it rests on; a report prints those entries and no others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CitedSentence = tuple[str, Sequence[str]]
"""A sentence, and the keys of literature.bib that it rests on."""
ENTRY = re.compile(r"@\w+\{(\w+),\n(.*?)\n\}\n", re.DOTALL)
FIELD = re.compile(r"  (\w+) = \{(.*)\},")


@dataclass(frozen=True)
class Entry:
    """One entry of literature.bib: as text, and the lines as they stand there."""

    text: str
    bibtex: str


@dataclass(frozen=True)
class Sentence:
    """A sentence without its full stop, and the numbers of the references that it rests on."""

    text: str
    citations: tuple[int, ...]


@dataclass(frozen=True)
class Methods:
    """A methods paragraph with its numbered references, as text and as BibTeX."""

    sentences: tuple[Sentence, ...] = ()
    references: tuple[str, ...] = ()
    bibtex: str = ""


def cited(sentences: Iterable[CitedSentence]) -> Methods:
    """Put numbers to the references that sentences rest on, in the order in which they are met."""
    sentences, entries = list(sentences), literature()
    order = list(dict.fromkeys(key for _, keys in sentences for key in keys))
    return Methods(
        tuple(
            Sentence(text.removesuffix("."), tuple(order.index(key) + 1 for key in keys)) for text, keys in sentences
        ),
        tuple(entries[key].text for key in order),
        "\n".join(entries[key].bibtex for key in order),
    )


def unknown_keys(sentences: Iterable[CitedSentence]) -> list[str]:
    """List the keys of sentences that literature.bib does not have."""
    return sorted({key for _, keys in sentences for key in keys} - set(literature()))


@cache
def literature() -> Mapping[str, Entry]:
    """Read literature.bib: its entries by their keys."""
    file = Path(__file__).with_name("literature.bib").read_text(encoding="utf-8")
    return {match[1]: Entry(_text(dict(FIELD.findall(match[2]))), match[0]) for match in ENTRY.finditer(file)}


def _text(fields: Mapping[str, str]) -> str:
    """Print ``Ho J, Jain A, Abbeel P. Denoising diffusion probabilistic models. NeurIPS 2020. arXiv:2006.11239``."""
    title = fields["title"].strip("{}")
    where = fields.get("booktitle") or fields.get("journal") or ""
    if "publisher" in fields:
        where = fields["publisher"].replace("\\&", "&") + ","
    part = f"{fields['volume']}:" if "volume" in fields else ""
    pages = f"; {part}{fields['pages'].replace('--', '-')}" if "pages" in fields else ""
    archive = f". arXiv:{fields['eprint']}" if "eprint" in fields else ""
    return f"{_authors(fields['author'])}. {title}. {where} {fields['year']}{pages}{archive}".replace(".  ", ". ")


def _authors(names: str) -> str:
    """Turn ``Ho, J. and Rao, J. N. K. and others`` into ``Ho J, Rao JNK, et al``."""
    people = (name.partition(", ") for name in names.split(" and "))
    return ", ".join(
        "et al" if family == "others" else f"{family} {initials.replace('.', '').replace(' ', '')}"
        for family, _, initials in people
    )
