"""One contract check per kind of thing; each is run over every implementation that `assembly` names."""
