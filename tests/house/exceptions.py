"""What still breaks the rules of the house. Lines leave these lists, and none come: the guards see to both."""

from tests.house.source import names

TOO_LONG = names(
    """
    cache/volumes.py::cache_volumes evaluation/images/quality.py::image_quality images/views.py::grid_image
    images/working_grid.py::WorkingGrid jobs/training_run.py::TrainingRun
    networks/medsegdiff/v1.py::MedSegDiffV1.__init__ networks/medsegdiff/v2.py::MedSegDiffV2.__init__
    networks/twin_unet.py::TwinUNet.__init__ networks/unet.py::ConditionalUNet.__init__ quickstart.py::generate
    reports/results.py::mask_results samplers/heun.py::heun
    """
)
"""Longer than the budget."""
TOO_MANY_PARAMETERS = names(
    """
    cache/pictures.py::decode diffusion/loss.py::diffusion_loss evaluation/images/sets.py::image_set
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
REPEATED = names(
    """
    arms calibration classifier copies facts files lesions membership ode pictures pixels sde segmentation slices
    tables volume weights
    """
)
"""Names that two files bear."""
SAYS_TOLD = names(
    """
    audit/__init__.py audit/copies.py audit/leaks.py audit/listing.py audit/masks.py audit/pixels.py audit/shift.py
    batches/images.py batches/turns.py cache/pictures.py cache/volumes.py evaluation/classifiers/runs.py
    evaluation/classifiers/subgroups.py evaluation/images/copies.py evaluation/images/distances.py
    evaluation/images/measures.py evaluation/images/membership.py evaluation/masks/pairs.py files/unpack.py
    files/writing.py formats/damage.py formats/dicom/capture.py formats/dicom/codes.py formats/dicom/dataset.py
    formats/dicom/frames.py formats/dicom/pixels.py formats/dicom/references.py formats/dicom/segmentation.py
    formats/dicom/series.py formats/dicom/volume.py formats/metaimage.py formats/nifti.py
    images/working_grid.py jobs/evaluate/images.py jobs/evaluate/leaderboard.py
    jobs/evaluate/masks.py jobs/generate/arms.py jobs/generate/filter.py jobs/generate/synthesize.py
    jobs/manifest.py jobs/segment/evaluate.py jobs/segment/predict.py jobs/segment/report.py metrics/images/color.py
    metrics/images/membership.py metrics/images/memorization.py metrics/masks/overlap.py pipelines/build_manifest.py
    pipelines/download.py pipelines/inspect.py recipe/segment.py recipe/values.py reports/study.py
    reports/study_methods.py reports/write.py run.py sources/brats.py sources/checksums.py sources/decathlon.py
    sources/fetch.py sources/folders/case_table.py sources/folders/dicom_folder.py sources/folders/nifti_folder.py
    sources/isic/__init__.py sources/isic/labels.py sources/isic/pictures.py sources/lgg.py
    sources/phantom/lesions.py sources/phantom/raters.py sources/source.py
    """
)
"""Files that say told of something that is no condition."""
SAYS_FOUND = names(
    """
    audit/copies.py audit/leaks.py audit/listing.py audit/masks.py audit/pixels.py audit/study.py cache/volumes.py
    ensemble/components.py ensemble/fusion.py ensemble/temperature.py ensemble/uncertainty_maps.py
    evaluation/classifiers/metrics.py evaluation/classifiers/runs.py evaluation/classifiers/tables.py
    evaluation/classifiers/tests.py evaluation/images/copies.py evaluation/images/measures.py
    evaluation/images/quality.py evaluation/images/sets.py evaluation/masks/calibration.py evaluation/masks/cases.py
    evaluation/masks/detections.py evaluation/masks/pairs.py evaluation/masks/summary.py formats/dicom/pixels.py
    formats/nifti.py formats/open.py images/cube.py jobs/energy.py jobs/evaluate/images.py
    jobs/evaluate/masks.py jobs/evaluate/study.py jobs/facts.py jobs/generate/arms.py jobs/segment/report.py
    metrics/classifiers/comparison.py metrics/classifiers/discrimination.py metrics/classifiers/operating_point.py
    metrics/images/memorization.py metrics/masks/lesions.py networks/features/dinov2.py
    networks/features/encoder3d.py networks/features/inception.py pipelines/inspect_audit.py recipe/values.py
    sources/brats.py sources/decathlon.py sources/folders/class_folders.py sources/folders/dicom_folder.py
    sources/isic/tables.py sources/phantom/files.py trained.py training/checkpoint.py
    """
)
"""Files in which a result is called found."""
NO_VERB = names(
    """
    audit/copies.py audit/facts.py audit/finding.py audit/leaks.py audit/listing.py audit/masks.py audit/pixels.py
    audit/shift.py audit/study.py evaluation/masks/pairs.py formats/dicom/capture.py formats/dicom/codes.py
    formats/dicom/dataset.py formats/dicom/frames.py formats/dicom/grid/marks.py formats/dicom/pixels.py
    formats/dicom/references.py formats/dicom/segmentation.py formats/dicom/series.py formats/dicom/volume.py
    formats/find.py formats/metaimage.py formats/nifti.py formats/open.py formats/pictures.py formats/slices.py
    images/case.py images/cube.py images/intensity.py images/plane.py images/prepare.py images/sizes.py
    images/square.py images/views.py images/working_grid.py jobs/segment/predict.py
    """
)
"""Files in which a function's docstring does not begin with a verb."""
CLAUSE = names(
    """
    audit/__init__.py audit/facts.py audit/finding.py audit/leaks.py audit/masks.py audit/pixels.py audit/shift.py
    evaluation/masks/pairs.py formats/damage.py formats/dicom/codes.py formats/dicom/frames.py
    formats/dicom/references.py formats/dicom/series.py formats/find.py formats/volume.py images/case.py
    images/intensity.py images/square.py images/working_grid.py jobs/manifest.py jobs/segment/predict.py
    """
)
"""Files in which a module, class or property is described by a clause."""
UNUSED = names(
    """
    cache/volumes.py::CachedVolume.restore_labels diffusion/guidance.py::classifier_guide
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
