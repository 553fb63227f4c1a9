"""Settings of the commands that ask a generator, trained for drawing, for something else: edits, likelihoods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from meddiff.errors import InputError
from meddiff.recipe.commands import Inputs
from meddiff.recipe.parts import Amount, Count, Range, Share


@dataclass(frozen=True, kw_only=True)
class Edit(Inputs):
    """Settings of an edit: the pictures, the generator, what is changed and how."""

    method: Literal["inpaint", "sdedit", "invert"]
    """inpaint draws a hole anew (RePaint), sdedit noises the picture to a part of the way and denoises it, invert
    finds the noise that it would have been drawn from and draws from that again."""
    label: str = ""
    """Class that is drawn; empty tells the network none."""
    own_label: str = ""
    """Of invert: class that the pictures are of; empty tells the network none."""
    mask: str = ""
    """What is changed, all that is no background: a mask for all pictures, or a folder of masks with their names."""
    box: str = ""
    """What is changed, in pixels from the left and the top: x,y,width,height, several with semicolons between."""
    remove: Literal["", "hairs"] = ""
    """What is changed: hairs and ruler marks of dermoscopic photographs, which are looked for."""
    strength: Share = 0.5
    """Of sdedit and invert: share of the way to noise; 1 keeps nothing (sdedit), or the noise alone (invert)."""
    steps: Annotated[int | None, Range(1, 10000)] = None
    """Sampler steps of the whole way; null takes 50."""
    guidance: Annotated[float | None, Range(0, 100)] = None
    """Scale of classifier-free guidance; null as the run draws."""
    jump: Count = 10
    """Of inpaint: steps of a jump back toward noise."""
    passes: Count = 5
    """Of inpaint: times that each stretch of so many steps is walked; 1 does not go back."""
    refinements: Amount = 1
    """Of invert: further network calls per step on the way to noise, toward the exact inverse."""
    members: Count = 1
    """Pictures drawn of each one, of inpaint and sdedit; each has a seed of its own."""
    feather: Annotated[float, Range(0, 1000)] = 3.0
    """Pixels over which an edit meets what is around it, all of them inside of what is changed."""
    seed: Amount = 0
    """Decides, with the name of a picture and the number of a member, all that is drawn."""
    save_overlays: bool = True
    """Also write each picture beside its edits, and all of them on one sheet, overview.png."""

    def refuse_contradictions(self) -> None:
        """Refuse settings of one method with another.

        Raises:
            InputError: which, and what to do.
        """
        if self.method == "inpaint" and not (self.mask or self.box or self.remove):
            raise InputError("inpaint fills a hole: say where with --mask, --box x,y,width,height or --remove hairs")
        if self.method == "invert" and self.members > 1:
            raise InputError("invert draws nothing at random, so that all members would be one: leave --members out")
        if self.method != "invert" and self.own_label:
            raise InputError(f"--own_label belongs to --method invert; {self.method} needs none")
        if self.method != "inpaint" and not self.strength:
            raise InputError("--strength 0 changes nothing: give a share above 0, at most 1")


@dataclass(frozen=True, kw_only=True)
class Likelihood:
    """Settings of a likelihood: the generator, and the images that it is asked about."""

    checkpoint: str
    """Run folder of `train` or `augment`, or weights by name (see meddiff.hub.place)."""
    output: str
    """Folder for likelihood.csv, levels.csv and likelihood.png."""
    input: str = ""
    """Other images, to be asked about beside those of the split: a picture, or a folder of them."""
    split: Literal["train", "val", "test", "none"] = "test"
    """Images of the run that are asked about; none needs --input."""
    images: Count = 200
    """Of each set at most so many, the first by the hash of their names."""
    levels: Annotated[int, Range(1, 10**4)] = 50
    """Noise levels that are looked at of each image; T and more takes all."""
    draws: Count = 1
    """Times that each is looked at, with other noise."""
    flow: Amount = 8
    """Images of each set whose likelihood by the probability flow is computed too."""
    probes: Annotated[int, Range(0, 1000)] = 2
    """Random traces per image of the flow, whose spread is shown; 0 computes exact ones, for small images."""
    tolerance: Annotated[float, Range(1e-9, 0.1)] = 1e-3
    """Of the flow's solver."""
    batch_size: Count = 16
    """Images per call of the network."""
    seed: Amount = 0
    """Decides, with the name of an image, the noise that it is looked at through."""

    def refuse_contradictions(self) -> None:
        """Refuse to ask about nothing.

        Raises:
            InputError: neither a split nor an input.
        """
        if self.split == "none" and not self.input:
            raise InputError("--split none leaves no image to ask about: name some with --input")
