"""Find the images of a data set and split them by patient (or lesion) into train, val and test.

    python -m meddiff.pipelines.build_manifest --dataset isic --data-root ~/HAM10000 --out runs/ham

writes manifest.csv into the run folder: one row per image with label, patient, split and where it came from. A
manifest of your own is checked (--manifest mine.csv); one that leaks between splits is an error that names the ids.
"""

from meddiff.pipelines.command_line import stage_command

main = stage_command("build_manifest", __doc__, until="manifest")

if __name__ == "__main__":
    raise SystemExit(main())
