"""Change pictures with a generator that was trained for drawing alone: fill holes, take hairs away, change the class.

    edit="python -m meddiff.pipelines.edit --checkpoint RUN --input photos --output edited"
    $edit --method inpaint --remove hairs
    $edit --method inpaint --box 40,30,25,25 --label nv
    $edit --method inpaint --mask masks
    $edit --method sdedit --label mel --strength 0.4
    $edit --method invert --own_label nv --label mel

RUN is a run folder of `augment` or `train`, one of its checkpoints, or published weights. inpaint (RePaint) draws what
may lie in a hole, given all around it: the rest of the picture is the input's, to the bit. sdedit (SDEdit) noises the
picture to a part of the way and denoises it as one of a class. invert (DDIM inversion) finds the noise that it would
have been drawn from, and draws from that again as one of another class. Both change what the network sees and leave
finer detail; with a mask or box they change that alone.

Each picture gives NAME_edit.png in its own size and type (more members NAME_member_01.png ...). edits.csv has one
line per picture: settings, seeds, how far pixels moved inside and outside of what is changed (shares of the range from
black to white), and what the run's classifier says before and after, where the run has one. overview.png shows them. A
killed run goes on where it was; run again, it edits what is new or has changed.
"""

from __future__ import annotations

from pathlib import Path

from meddiff.command_line import refuse_wrong_places, settings_command
from meddiff.jobs.progress import new_console
from meddiff.recipe.generators import Edit


def run(settings: Edit) -> Path:
    """Edit everything that is there; returns edits.csv.

    Raises:
        InputError: whatever the user can cure: no checkpoint, nothing to edit, a class that there is not ...
    """
    refuse_wrong_places(settings)

    from meddiff.files.unpack import unpacked
    from meddiff.jobs.apply.work import apply, inputs_at
    from meddiff.jobs.edit.edits import EDIT, Edits
    from meddiff.trained import load_generator

    console = new_console()
    edits = Edits.of(settings, load_generator(settings.checkpoint))
    if edits.generator.folder.phantom.is_dir():
        console.print("note: this run was trained on drawn images (phantoms); it knows nothing of patients")
    with unpacked(Path(settings.input).expanduser()) as place:
        inputs = inputs_at(place, settings, EDIT)
        return apply(edits, place, inputs, settings, console, product=EDIT, made_by=edits.digest)


USAGE = "--checkpoint RUN --input PATH --output FOLDER --method METHOD [--<setting> VALUE ...]"
main = settings_command(Edit, "edit", USAGE, __doc__, run)

if __name__ == "__main__":
    raise SystemExit(main())
