"""Segment the current volume of 3D Slicer with `meddiff segment predict`: a scripted module of one file.

Edit > Application Settings > Modules > Additional module paths: add this folder, and start Slicer again. meddiff lies
in an environment of its own, not in Slicer's; name its command, such as /home/me/.venv/bin/meddiff. The volume is
written as NIfTI into a temporary folder, and the mask comes back as a segmentation on its grid. For research alone.
"""

import subprocess
import tempfile
from pathlib import Path

import qt
import slicer
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleWidget,
)


class MeddiffSegment(ScriptedLoadableModule):
    """The entry in Slicer's list of modules."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "Segment by diffusion (meddiff)"
        parent.categories = ["Segmentation"]
        parent.contributors = ["The meddiff authors"]
        parent.helpText = __doc__


class MeddiffSegmentWidget(ScriptedLoadableModuleWidget):
    """Two fields and a button."""

    def setup(self):
        """Lay out the module's panel."""
        ScriptedLoadableModuleWidget.setup(self)
        form = qt.QFormLayout()
        self.layout.addLayout(form)
        self.command, self.weights = qt.QLineEdit("meddiff"), qt.QLineEdit()
        self.weights.placeholderText = "run folder of segment train"
        self.button = qt.QPushButton("Segment the current volume")
        form.addRow("Command:", self.command)
        form.addRow("Run or weights:", self.weights)
        form.addRow(self.button)
        self.button.connect("clicked()", self.segment)

    def segment(self):
        """Segment the volume that the slices show; what went wrong is shown in a window."""
        with slicer.util.tryWithErrorDisplay("meddiff could not segment this volume", waitCursor=True):
            MeddiffSegmentLogic().segment(current_volume(), self.command.text, self.weights.text)


class MeddiffSegmentLogic(ScriptedLoadableModuleLogic):
    """The work without a window, for scripts too."""

    def segment(self, volume, command="meddiff", weights=""):
        """Segment a volume node; returns the node of the segmentation.

        Raises:
            RuntimeError: no volume, no weights, or what the command says on its error output.
        """
        if volume is None:
            raise RuntimeError("there is no volume: load one first")
        if not weights:
            raise RuntimeError("name the run folder, or the weights, that segment this kind of volume")
        with tempfile.TemporaryDirectory(prefix="meddiff-") as name:
            image, out = Path(name) / "volume.nii.gz", Path(name) / "masks"
            if not slicer.util.saveNode(volume, str(image)):
                raise RuntimeError("Slicer could not write the volume as NIfTI")
            done = subprocess.run(
                words(command, image, out, weights),
                env=slicer.util.startupEnvironment(),  # without the paths of Slicer's own Python
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            mask = out / "volume_mask.nii.gz"
            if done.returncode or not mask.is_file():
                raise RuntimeError((done.stderr or done.stdout).strip() or f"{command} has written no mask")
            segmentation = slicer.util.loadSegmentation(str(mask))
            segmentation.SetName(f"{volume.GetName()} by meddiff")
            return segmentation


def words(command, image, out, weights):
    """Return the command that segments an image."""
    return [command, "segment", "predict", "--input", str(image), "--output", str(out), "--checkpoint", weights]


def current_volume():
    """Return the volume in the background of the red slice; None where there is none."""
    identity = (
        slicer.app.layoutManager().sliceWidget("Red").sliceLogic().GetSliceCompositeNode().GetBackgroundVolumeID()
    )
    return slicer.mrmlScene.GetNodeByID(identity) if identity else None
