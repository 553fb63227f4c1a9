"""Several predictions of one image become one, with what they disagree about: arrays in, arrays out."""
