"""``python -m meddiff``: the same as the console command ``meddiff``."""

from meddiff.console.main import main

if __name__ == "__main__":
    raise SystemExit(main())
