"""Errors that libraries raise for damaged files, turned into one sentence that names the file."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meddiff.errors import InputError
from meddiff.files.bad import bad_file
from meddiff.formats.pictures import DAMAGE

# Seen from nibabel, pydicom, its decoders and SimpleITK on mutated files, beside what Pillow raises.
_MORE = (AttributeError, NotImplementedError, RecursionError, RuntimeError, LookupError, ArithmeticError, EOFError)


@contextmanager
def damage_named(path: Path, what: str = "the file") -> Iterator[None]:
    """Turn the errors and silence the warnings of a decoder that is at work on ``path``."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    damage: tuple[type[Exception], ...] = ()
    logger.setLevel(logging.ERROR)  # it logs what it warns of
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            damage = _damage()
            yield
    except InputError:
        raise
    except PermissionError as error:
        raise bad_file(path, "you may not read this file") from error
    except damage as error:
        reason = " ".join(str(error).split())[:300]
        raise bad_file(
            path, f"{what} is cut off, damaged or of an unknown kind ({reason or type(error).__name__})"
        ) from error
    finally:
        logger.setLevel(level)


def _damage() -> tuple[type[Exception], ...]:
    from isal import isal_zlib
    from nibabel.filebasedimages import ImageFileError
    from nibabel.freesurfer.mghformat import MGHError
    from nibabel.nicom.csareader import CSAReadError
    from nibabel.spatialimages import HeaderDataError, HeaderTypeError, ImageDataError
    from nibabel.wrapstruct import WrapStructError
    from pydicom.errors import BytesLengthException

    nifti = (ImageFileError, HeaderDataError, HeaderTypeError, ImageDataError, WrapStructError, MGHError)
    return (isal_zlib.error, CSAReadError, BytesLengthException, *nifti, *DAMAGE, *_MORE)  # type: ignore[return-value]  # isal states its error as an instance
