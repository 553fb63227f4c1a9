"""Cells of CSV files that a spreadsheet does not take for formulas.

``=HYPERLINK(...)`` in the name of a file would be run where a table is opened in a spreadsheet. A text that begins so
gets an apostrophe in front, by which spreadsheets mean text, and loses it when the table is read back. Numbers stay.
"""

from __future__ import annotations

import re

_FORMULA = re.compile(r"'*[=+\-@\t\r\n]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


SUSPECT = ("'", "=", "+", "-", "@", "\t", "\r", "\n")
"""Letters without which at its beginning no text is changed."""


def is_number(text: str) -> bool:
    """Say whether a cell is a number as programs write them."""
    return _NUMBER.fullmatch(text) is not None


def shielded(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula."""
    return f"'{text}" if _FORMULA.match(text) and not is_number(text) else text


def bare(cell: str) -> str:
    """Take the apostrophe away again."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell
