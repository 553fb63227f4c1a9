"""A function's docstring begins with what it does, all others with what the thing is: no clause stands for either."""

import ast

import pytest

from tests.house.source import Definition, Function, definitions, functions, names, none_of, trees

VERBS = names(
    """
    Add Apply Ask Attend Average Begin Bring Build Call Check Choose Close Compare Compute Convert Copy Count Create
    Cut Deal Decide Decode Delete Describe Digest Divide Do Draw Edit Embed Encode Estimate Evaluate Explain Fetch Fill
    Find Fit Fold Fuse Gather Give Go Group Hash Hold Join Judge Keep Lay Leave Let List Load Log Look Make Map Mark
    Match Measure Merge Mirror Move Name Noise Note Open Order Pair Parse Photograph Pickle Place Predict Prepare Print
    Put Raise Read Recompute Reconstruct Record Reduce Refuse Remember Remove Render Replace Resample Rescale Resize
    Restore Return Round Run Sample Save Say Scale Scan Score Search Segment Select Set Shift Show Skip Solve Sort Span
    Split Stop Store Subtract Sum Summarize Take Tell Trace Train Translate Turn Unfold Unpack Use Wait Walk Warn Weigh
    Wrap Write Yield Bend
    """
)
"""The verbs that docstrings begin with. Another one is welcome here."""
CLAUSES = {"What", "Which", "Whether", "How", "Where", "Who", "Whose", "Why", "When", "That"}


def first_word(node: ast.AST) -> str:
    return next(iter((ast.get_docstring(node) or "").split()), "").strip(".,:;")


def is_property(node: ast.AST) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in node.decorator_list)


def verbs_wanted() -> list[Definition]:
    return [one for one in functions() if not is_property(one.node)]


def nouns_wanted() -> list[Definition]:
    others = [one for one in definitions() if not isinstance(one.node, Function) or is_property(one.node)]
    return [*others, *(Definition(file, "", tree) for file, tree in trees().items())]


def test_docstrings_of_functions_begin_with_a_verb():
    broken = {one.file for one in verbs_wanted() if (word := first_word(one.node)) and word not in VERBS}
    none_of(broken, "docstrings that do not begin with a verb (or one that is not in VERBS yet)")


def test_docstrings_of_all_else_are_no_clauses():
    broken = {one.file for one in nouns_wanted() if first_word(one.node) in CLAUSES}
    none_of(broken, "docstrings that are clauses: name the thing")


def test_public_functions_and_classes_say_what_they_are():
    silent = {
        str(one)
        for one in definitions()
        if one.is_public and "." not in one.name and "__" not in one.name and not first_word(one.node)
    }
    none_of(silent, "public, without a docstring")


@pytest.mark.parametrize(
    ("docstring", "word"), [("'''Read it.'''", "Read"), ("'''Which: a, b.'''", "Which"), ("1", "")]
)
def test_the_first_word_is_seen(docstring, word):
    assert first_word(ast.parse(docstring)) == word
