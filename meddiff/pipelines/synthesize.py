"""Draw synthetic images of every class from the trained model.

    python -m meddiff.pipelines.synthesize --dataset isic --data-root ~/HAM10000 --synthesis.guidance 2

writes synthetic/ and synthetic_manifest.csv into the run folder: label, seed, checkpoint, sampler and guidance of
every image. The same seed gives the same image. Trains first where that has not been done.
"""

from meddiff.command_line import stage_command

main = stage_command("synthesize", __doc__, until="synthesize")

if __name__ == "__main__":
    raise SystemExit(main())
