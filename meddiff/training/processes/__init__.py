"""Several processes that do one command together, and the signals that stop it."""
