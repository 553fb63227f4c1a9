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
    images/prepare.py images/working_grid.py jobs/evaluate/images.py jobs/evaluate/leaderboard.py
    jobs/evaluate/masks.py jobs/generate/arms.py jobs/generate/filter.py jobs/generate/synthesize.py
    jobs/manifest.py jobs/segment/evaluate.py jobs/segment/predict.py jobs/segment/report.py metrics/images/color.py
    metrics/images/membership.py metrics/images/memorization.py metrics/masks/overlap.py pipelines/build_manifest.py
    pipelines/download.py pipelines/inspect.py pipelines/predict.py recipe/commands.py recipe/segment.py
    recipe/values.py reports/study.py reports/study_methods.py reports/write.py run.py sources/brats.py
    sources/checksums.py sources/decathlon.py sources/fetch.py sources/folders/case_table.py
    sources/folders/dicom_folder.py sources/folders/nifti_folder.py sources/isic/__init__.py sources/isic/labels.py
    sources/isic/pictures.py sources/lgg.py sources/phantom/lesions.py sources/phantom/raters.py sources/source.py
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
    formats/nifti.py formats/open.py images/cube.py images/prepare.py jobs/energy.py jobs/evaluate/images.py
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
    audit/shift.py audit/study.py batches/batch.py batches/cuts.py batches/images.py batches/order.py
    batches/slices.py batches/turns.py build/check.py build/features.py build/images.py build/models.py
    build/segmentation.py build/tables.py cache/contents.py cache/pictures.py cache/store.py cache/volumes.py
    diffusion/bound.py diffusion/condition.py diffusion/denoiser.py diffusion/exact.py diffusion/guidance.py
    diffusion/likelihood.py diffusion/loss.py diffusion/noise.py diffusion/ode.py diffusion/prediction.py
    diffusion/process.py diffusion/schedule.py diffusion/sde.py diffusion/self_conditioning.py diffusion/spacing.py
    diffusion/thresholding.py diffusion/time_sampling.py ensemble/components.py ensemble/fusion.py
    ensemble/temperature.py ensemble/uncertainty_maps.py errors.py evaluation/classifiers/intervals.py
    evaluation/classifiers/metrics.py evaluation/classifiers/runs.py evaluation/classifiers/scores.py
    evaluation/classifiers/study.py evaluation/classifiers/subgroups.py evaluation/classifiers/tables.py
    evaluation/classifiers/tests.py evaluation/images/copies.py evaluation/images/distances.py
    evaluation/images/measures.py evaluation/images/membership.py evaluation/images/quality.py
    evaluation/images/sets.py evaluation/masks/calibration.py evaluation/masks/cases.py
    evaluation/masks/detections.py evaluation/masks/pairs.py evaluation/masks/summary.py evaluation/rows.py
    files/bad.py files/bounds.py files/snapshot.py files/tables.py files/unpack.py formats/dicom/capture.py
    formats/dicom/codes.py formats/dicom/dataset.py formats/dicom/frames.py formats/dicom/pixels.py
    formats/dicom/references.py formats/dicom/segmentation.py formats/dicom/series.py
    formats/dicom/volume.py formats/find.py formats/metaimage.py formats/nifti.py formats/open.py
    formats/pictures.py formats/slices.py images/case.py images/cube.py images/intensity.py images/plane.py
    images/prepare.py images/sizes.py images/square.py images/views.py images/working_grid.py inference/decision.py
    inference/sampling.py inference/segmenters.py inference/tiling.py jobs/energy.py jobs/evaluate/images.py
    jobs/evaluate/masks.py jobs/evaluate/study.py jobs/facts.py jobs/generate/arms.py jobs/generate/classify.py
    jobs/generate/filter.py jobs/generate/report.py jobs/generate/synthesize.py jobs/job.py jobs/looks.py
    jobs/progress.py jobs/segment/calibrate.py jobs/segment/evaluate.py jobs/segment/predict.py
    jobs/segment/report.py jobs/train.py jobs/weights.py manifest/consistency.py manifest/row.py manifest/split.py
    manifest/table.py metrics/classifiers/calibration.py metrics/classifiers/comparison.py
    metrics/classifiers/discrimination.py metrics/classifiers/operating_point.py metrics/images/color.py
    metrics/images/copying.py metrics/images/diversity.py metrics/images/fidelity.py
    metrics/images/label_agreement.py metrics/images/manifold.py metrics/images/membership.py
    metrics/images/memorization.py metrics/images/moments.py metrics/images/skin_tone.py metrics/images/spectrum.py
    metrics/masks/lesions.py metrics/masks/overlap.py metrics/masks/surface.py metrics/masks/uncertainty.py
    metrics/resampling.py networks/blocks.py networks/classifier.py networks/features/dinov2.py
    networks/features/inception.py networks/features/lpips.py networks/features/medicalnet.py
    networks/features/network.py networks/features/radimagenet.py networks/folding.py networks/initialization.py
    networks/medsegdiff/ff_parser.py networks/medsegdiff/ss_former.py networks/medsegdiff/v1.py
    networks/medsegdiff/v2.py networks/segmenter.py networks/told_image.py networks/twin_unet.py networks/unet.py
    networks/weights.py pipelines/command_line.py pipelines/download.py pipelines/evaluate.py pipelines/inspect.py
    pipelines/inspect_audit.py pipelines/predict.py pipelines/segment.py quickstart.py recipe/parts.py
    recipe/values.py reports/figures.py run.py samplers/ddim.py samplers/ddpm.py samplers/dpm_solver.py
    samplers/dpm_solver_sde.py samplers/euler.py samplers/heun.py samplers/langevin.py samplers/ode.py
    samplers/pndm.py samplers/predictor_corrector.py samplers/sde.py samplers/step.py samplers/unipc.py seeds.py
    sources/brain_tumor.py sources/brats.py sources/checksums.py sources/decathlon.py sources/fetch.py
    sources/folders/case_table.py sources/folders/class_folders.py sources/folders/dicom_folder.py
    sources/folders/image_folder.py sources/folders/nifti_folder.py sources/isic/__init__.py
    sources/isic/archives.py sources/isic/files.py sources/isic/labels.py sources/isic/ph2.py
    sources/isic/pictures.py sources/isic/tables.py sources/lgg.py sources/phantom/brain.py
    sources/phantom/camera.py sources/phantom/dermoscopy.py sources/phantom/files.py sources/phantom/head.py
    sources/phantom/hippocampus.py sources/phantom/lesions.py sources/phantom/melanocytic.py
    sources/phantom/people.py sources/phantom/pigment.py sources/phantom/raters.py sources/phantom/texture.py
    sources/source.py sources/tables.py sources/weights.py tasks/generate.py tasks/segment.py tasks/task.py
    trained.py training/apply.py training/arithmetic.py training/checkpoint.py training/classifier.py
    training/divergence.py training/ema.py training/fabric.py training/facts.py training/loop.py
    training/objectives.py training/optimization.py training/state.py
    """
)
"""Files in which a function's docstring does not begin with a verb."""
CLAUSE = names(
    """
    audit/__init__.py audit/facts.py audit/finding.py audit/leaks.py audit/masks.py audit/pixels.py audit/shift.py
    batches/batch.py batches/cuts.py batches/images.py batches/order.py batches/turns.py build/check.py
    build/models.py cache/contents.py cache/store.py diffusion/condition.py diffusion/denoiser.py
    diffusion/prediction.py diffusion/spacing.py diffusion/time_sampling.py ensemble/components.py
    ensemble/fusion.py ensemble/uncertainty_maps.py evaluation/classifiers/metrics.py evaluation/classifiers/runs.py
    evaluation/images/copies.py evaluation/images/distances.py evaluation/images/measures.py
    evaluation/images/sets.py evaluation/masks/calibration.py evaluation/masks/cases.py evaluation/masks/pairs.py
    files/bounds.py files/snapshot.py formats/damage.py formats/dicom/codes.py formats/dicom/frames.py
    formats/dicom/references.py formats/dicom/series.py formats/find.py formats/volume.py images/case.py
    images/intensity.py images/square.py images/working_grid.py inference/decision.py inference/sampling.py
    inference/segmenters.py jobs/facts.py jobs/generate/arms.py jobs/looks.py jobs/manifest.py
    jobs/segment/predict.py jobs/weights.py manifest/consistency.py manifest/row.py manifest/split.py
    metrics/classifiers/calibration.py metrics/classifiers/discrimination.py metrics/images/color.py
    metrics/images/diversity.py metrics/images/fidelity.py metrics/images/label_agreement.py
    metrics/images/membership.py metrics/images/memorization.py metrics/images/moments.py metrics/images/spectrum.py
    metrics/masks/lesions.py metrics/masks/uncertainty.py networks/blocks.py networks/features/network.py
    networks/medsegdiff/ss_former.py networks/told_image.py networks/weights.py pipelines/inspect.py
    recipe/__init__.py recipe/commands.py recipe/generate.py recipe/parts.py recipe/segment.py reports/figures.py
    reports/images_methods.py reports/literature.py reports/masks_methods.py reports/report.py reports/results.py
    reports/study_methods.py run.py samplers/step.py sources/brats.py sources/checksums.py sources/decathlon.py
    sources/fetch.py sources/folders/class_folders.py sources/isic/archives.py sources/isic/files.py
    sources/isic/pictures.py sources/isic/tables.py sources/phantom/people.py sources/phantom/pigment.py
    sources/phantom/texture.py sources/source.py sources/weights.py tasks/task.py trained.py training/checkpoint.py
    training/fabric.py training/facts.py training/loop.py training/objectives.py training/optimization.py
    training/state.py
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
