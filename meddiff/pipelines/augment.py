"""From images to an honest answer: do synthetic images of the rare classes help a classifier?

    python -m meddiff.pipelines.augment --dataset isic                               # built-in drawn images, minutes
    python -m meddiff.pipelines.augment --dataset isic --data-root ~/HAM10000         # yours

Splits by patient or lesion, trains a class-conditional diffusion model, draws synthetic images, drops doubtful ones
and near-copies, trains classifiers with and without them, and writes report.html with 95% intervals into the run
folder. A finished stage is skipped; a killed run goes on where it was. --preset quick, standard or full picks the
size; every setting below can be given as a flag or in a file (--config), and --print_config prints one to edit.
"""

from meddiff.command_line import stage_command

main = stage_command("augment", __doc__, until="report")

if __name__ == "__main__":
    raise SystemExit(main())
