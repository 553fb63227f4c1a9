"""What still breaks the rules of the house. Lines leave these lists, and none come: the guards see to both."""

TOO_LONG = {"cache/volume_array.py::cache_volumes"}
"""Longer than the budget."""
TOO_MANY_PARAMETERS = {"cache/image_array.py::decode", "evaluation/images/sets.py::image_set"}
"""More parameters than the budget."""
TOO_FULL: set[str] = set()
"""Folders of too many files."""
REPEATED: set[str] = set()
"""Names that two files bear."""
SAYS_TOLD: set[str] = set()
"""Files that say told of something that is no condition."""
SAYS_FOUND: set[str] = set()
"""Files in which a result is called found."""
NO_VERB: set[str] = set()
"""Files in which a function's docstring does not begin with a verb."""
CLAUSE: set[str] = set()
"""Files in which a module, class or property is described by a clause."""
UNUSED: set[str] = set()
"""Public names that nothing but tests uses."""
TWINS: set[str] = set()
"""Functions whose body stands elsewhere too."""
