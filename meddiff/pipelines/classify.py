"""Train classifiers with and without the synthetic images and judge them on held-out real ones.

    python -m meddiff.pipelines.classify --dataset isic --data-root ~/HAM10000 --classifier.seeds 5

writes filter.csv (which synthetic images were kept, and why not) and predictions.csv into the run folder. Does the
stages before it where they have not been done.
"""

from meddiff.command_line import stage_command

main = stage_command("classify", __doc__, until="classify")

if __name__ == "__main__":
    raise SystemExit(main())
