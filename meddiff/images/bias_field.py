"""The smooth brightness of a receiver coil, taken out of MRI: N4 (Tustison et al. 2010) through SimpleITK.

The field is fitted on a grid that is four times coarser, where it is as smooth as before, and taken out at full
resolution. It is fitted inside the Otsu mask: air has no signal to be brightened.
"""

import numpy as np

from meddiff.errors import InputError

SHRINK = 4
ITERATIONS = (50, 50, 50, 50)  # per level, the default of the original program
_FEWEST = 8  # voxels along an axis that shrinking leaves


def correct_bias_field(array: np.ndarray, spacing_mm: tuple[float, float, float], *, name: object) -> np.ndarray:
    """The volume [I, J, K] as float32 without its bias field.

    Args:
        array: MRI as it was measured, not below 0 (the field is a factor).
        spacing_mm: along the axes; only its ratios count.
        name: for messages.

    Raises:
        InputError: negative values: this is CT, or its intensities have been changed already.
    """
    import SimpleITK

    if array.min() < 0:
        raise InputError(
            f"{name}: its values go down to {array.min():g}. Bias correction needs MRI as it was measured, without "
            "negative values. Switch it off for volumes that are corrected or normalized already, and for CT."
        )
    axes = [axis for axis in range(3) if array.shape[axis] > 1]  # a single slice is a picture for N4
    if len(axes) < 2:
        raise InputError(f"{name}: a line of voxels {array.shape} has no bias field. Switch bias correction off.")
    image = SimpleITK.GetImageFromArray(array.astype(np.float32).squeeze().T)  # the fastest axis comes last there
    image.SetSpacing([float(spacing_mm[axis]) for axis in axes])
    mask = SimpleITK.OtsuThreshold(image, 0, 1, 200)
    if not SimpleITK.GetArrayFromImage(mask).any():
        return array.astype(np.float32)  # an even volume has no field
    shrink = [max(1, min(SHRINK, array.shape[axis] // _FEWEST)) for axis in axes]
    corrector = SimpleITK.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations(list(ITERATIONS))
    corrector.SetNumberOfThreads(1)  # so that sums round alike on any machine
    corrector.Execute(SimpleITK.Shrink(image, shrink), SimpleITK.Shrink(mask, shrink))
    field = SimpleITK.GetArrayFromImage(corrector.GetLogBiasFieldAsImage(image)).T.reshape(array.shape)
    return (array / np.exp(field)).astype(np.float32)
