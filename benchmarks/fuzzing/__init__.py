"""Hostile files for the readers: small seeds of every format, what is done to them, and the box they are read in."""
