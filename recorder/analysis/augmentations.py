"""Which changed versions of an image does one ask a network about, each described so that it can be made again?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

IDENTITY = "identity"


@dataclass(frozen=True)
class Augmentation:
    """How one image of a probe was made: from which sample, by which transform, how strongly.

    `parameters` say all that there is to say of it; only what is drawn for each pixel is drawn again, from `seed`.
    """

    sample: int  # of the images that were given
    transform: str  # IDENTITY: the clean image
    strength: float  # 0 (the clean image) to 1; the same few numbers for all transforms
    parameters: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
