"""Train the class-conditional diffusion model of a data set.

    python -m meddiff.pipelines.train --dataset isic --data-root ~/HAM10000 --preset standard

writes checkpoints/, log.csv and sample grids into the run folder. Stopped or killed, the same command goes on from
the last checkpoint and ends with the same weights, to the bit. With --describe nothing is read or trained: it prints
how large the network is and what it costs.
"""

from meddiff.command_line import stage_command

main = stage_command("train", __doc__, until="train", describes=True)

if __name__ == "__main__":
    raise SystemExit(main())
