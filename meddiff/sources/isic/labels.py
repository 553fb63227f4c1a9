"""One vocabulary for the diagnoses of all dermoscopy sets.

| label         | what it is                                          | written by the publishers as                |
|---------------|-----------------------------------------------------|---------------------------------------------|
| nv            | melanocytic nevus                                   | nv, NV; ISIC 2017: neither of its columns;  |
|               |                                                     | PH2: common nevus                           |
| atypical_nv   | atypical nevus, named by PH2 alone                  | PH2: atypical nevus                         |
| mel           | melanoma                                            | mel, MEL, melanoma                          |
| bkl           | benign keratosis: seborrheic keratosis, solar       | bkl, BKL; ISIC 2017: seborrheic_keratosis   |
|               | lentigo, lichen-planus-like keratosis               |                                             |
| bcc           | basal cell carcinoma                                | bcc, BCC                                    |
| akiec         | actinic keratosis, intraepithelial carcinoma        | akiec, AKIEC; ISIC 2019: AK                 |
|               | (Bowen), which ISIC 2019 counts as scc              |                                             |
| df            | dermatofibroma                                      | df, DF                                      |
| vasc          | vascular lesion                                     | vasc, VASC                                  |
| scc           | squamous cell carcinoma                             | ISIC 2019: SCC                              |
| (no label)    | none of the others                                  | ISIC 2019 test: UNK                         |
| benign        | not malignant                                       | ISIC 2016: benign, 0; ISIC 2020: 0          |
| malignant     | melanoma                                            | ISIC 2016: malignant, 1; ISIC 2020: 1       |

``benign`` and ``malignant`` are no diagnoses and are not mapped to any: where another challenge in the same folder
knows the diagnosis of the picture, that one is taken. PH2's ``atypical_nv`` is kept, because classes can be merged
later but not separated again; HAM10000 and ISIC count such lesions as ``nv``.
"""

from collections.abc import Iterable, Mapping

DIAGNOSES = ("nv", "atypical_nv", "mel", "bkl", "bcc", "akiec", "df", "vasc", "scc")
COARSE = ("benign", "malignant")
_SPELLINGS = {name: name for name in DIAGNOSES} | {"ak": "akiec"}
_NO_DIAGNOSIS = "unk"
ONE_HOT_COLUMNS = (*(name for name in _SPELLINGS if name != "atypical_nv"), _NO_DIAGNOSIS)


def diagnosis(text: str) -> str:
    """Return a publisher's short name in the common vocabulary; ValueError says what is allowed."""
    label = _SPELLINGS.get(text.lower())
    if label is None:
        raise ValueError(f"{text!r} is no diagnosis; known are {', '.join(_SPELLINGS)}")
    return label


def one_hot(cells: Mapping[str, str], columns: Iterable[str]) -> str | None:
    """Return the one column that holds a 1, in the common vocabulary; None where that is UNK, which is no diagnosis."""
    marked = [name for name in columns if switched_on(cells[name])]
    if len(marked) != 1:
        raise ValueError(f"{', '.join(marked) or 'no column'} marked, exactly one diagnosis must be")
    return None if marked[0] == _NO_DIAGNOSIS else diagnosis(marked[0])


def isic2017(cells: Mapping[str, str]) -> str:
    """Return two yes/no columns; a lesion that is neither is a benign nevus (Codella et al. 2017)."""
    melanoma, keratosis = switched_on(cells["melanoma"]), switched_on(cells["seborrheic_keratosis"])
    if melanoma and keratosis:
        raise ValueError("both melanoma and seborrheic_keratosis are marked")
    return "mel" if melanoma else "bkl" if keratosis else "nv"


def benign_or_malignant(text: str) -> str:
    """Return ``benign``, ``malignant``, ``0``, ``1``, ``0.0`` or ``1.0``."""
    return text.lower() if text.lower() in COARSE else COARSE[switched_on(text)]


def switched_on(text: str) -> bool:
    """Return a yes/no cell: 0, 1, 0.0, 1.0, or empty for no."""
    if text.strip() in ("1", "1.0"):
        return True
    if text.strip() in ("", "0", "0.0"):
        return False
    raise ValueError(f"{text!r} is neither 0 nor 1")


def overlaps(labels: Iterable[str | None]) -> str:
    """Return a sentence where labels of one data set are not exclusive of each other, else an empty one."""
    present = {label for label in labels if label}
    if present & set(COARSE) and present - set(COARSE):
        return ("some images are labeled benign/malignant (ISIC 2016, 2020), others with a diagnosis: these classes "
                "overlap. Give one kind of challenge as data root, or a manifest.")  # fmt: skip
    if "atypical_nv" in present and present - {"nv", "atypical_nv", "mel"}:
        return ("PH2 tells atypical nevi (atypical_nv) from common ones (nv), the other sets call both nv: these "
                "classes overlap. Give PH2 alone, or a manifest with the two merged.")  # fmt: skip
    return ""
