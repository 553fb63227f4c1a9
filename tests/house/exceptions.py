"""What still breaks the rules of the house. Lines leave these lists, and none come: the guards see to both."""

from tests.house.source import names

TOO_LONG = names(
    """
    cache/volume_array.py::cache_volumes images/views.py::grid_image images/working_grid.py::WorkingGrid
    reports/results.py::mask_results
    """
)
"""Longer than the budget."""
TOO_MANY_PARAMETERS = names(
    """
    cache/image_array.py::decode diffusion/loss.py::diffusion_loss evaluation/images/sets.py::image_set
    reports/results.py::mask_results
    """
)
"""More parameters than the budget."""
TOO_FULL = names(
    """
    diffusion reports
    """
)
"""Folders of too many files."""
REPEATED: set[str] = set()
"""Names that two files bear."""
SAYS_TOLD = names(
    """
    audit/leaks.py audit/listing.py audit/masks.py audit/odd_images.py audit/shift.py evaluation/masks/pairs.py
    formats/damage.py formats/dicom/capture.py formats/dicom/codes.py formats/dicom/frames.py
    formats/dicom/pixels.py formats/dicom/segmentation.py formats/dicom/series.py formats/dicom/series_volume.py
    formats/metaimage.py formats/nifti.py jobs/manifest.py jobs/segment/predict.py
    """
)
"""Files that say told of something that is no condition."""
SAYS_FOUND = names(
    """
    audit/duplicates.py audit/leaks.py audit/listing.py audit/masks.py audit/odd_images.py audit/study.py
    evaluation/masks/pairs.py formats/dicom/pixels.py formats/nifti.py formats/open.py images/cube.py
    jobs/segment/report.py
    """
)
"""Files in which a result is called found."""
NO_VERB: set[str] = set()
"""Files in which a function's docstring does not begin with a verb."""
CLAUSE: set[str] = set()
"""Files in which a module, class or property is described by a clause."""
UNUSED = names(
    """
    cache/volume_array.py::CachedVolume.restore_labels diffusion/guidance.py::classifier_guide
    diffusion/loss.py::edm_weight diffusion/loss.py::p2 diffusion/loss.py::score_matching_loss
    diffusion/loss.py::x_0_error diffusion/noise.py::offset_noise diffusion/prediction.py::ClassLogits.to_eps
    diffusion/prediction.py::Prediction.to_eps diffusion/time_sampling.py::LossAwareTimes
    formats/dicom/segmentation.py::save_dicom_probabilities images/prepare.py::PreparedVolume.restore_labels
    metrics/classifiers/calibration.py::classwise_calibration_error
    metrics/masks/overlap.py::Overlap.volume_error_ml samplers/inversion.py::invert
    """
)
"""Public names that nothing but tests uses."""
TWINS: set[str] = set()
"""Functions whose body stands elsewhere too."""
