"""The scores of external libraries and their names. Light: ``score_runner`` imports the libraries.

A score with a reference (``with_reference``) compares both images at their common size, usually that of the reference, and says
how faithful the image is. The others see only the image, at its own size, and say how good it looks.
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ...errors import WorkflowError

ScoreLibraryName: TypeAlias = Literal["pyiqa", "ffmpeg", "stlpips"]


@dataclass(frozen=True)
class Score:
    """A number about an image, and whether low or high is better."""

    key: str
    title: str
    unit: str
    digits: int
    better: Literal["low", "high"]
    meaning: str
    library: ScoreLibraryName
    with_reference: bool = True
    min_side: int = 1
    """Minimum of the shorter side in pixels."""


SCORES = (
    Score(
        "ssim",
        "SSIM",
        "0..1",
        3,
        "high",
        "Structural similarity of luma to the source (Wang et al. 2004), at the source's size.",
        "pyiqa",
        min_side=11,
    ),
    Score("ms_ssim", "MS-SSIM", "0..1", 3, "high", "The same over five scales (Wang et al. 2003).", "pyiqa", min_side=176),
    Score(
        "lpips",
        "LPIPS",
        "0..1",
        3,
        "low",
        "Perceptual distance to the source, by the features of AlexNet (Zhang et al. 2018), at the source's size.",
        "pyiqa",
        min_side=32,
    ),
    Score(
        "dists",
        "DISTS",
        "0..1",
        3,
        "low",
        "Distance of structure and texture to the source, by the features of VGG (Ding et al. 2020), at the source's size.",
        "pyiqa",
        min_side=32,
    ),
    Score(
        "musiq",
        "MUSIQ",
        "0..100",
        1,
        "high",
        "How good the image looks, learned from human ratings (Ke et al. 2021, KonIQ-10k). Ignores the source.",
        "pyiqa",
        with_reference=False,
        min_side=32,
    ),
    Score(
        "niqe",
        "NIQE",
        "0..100",
        2,
        "low",
        "Distance of the image's statistics from those of natural images (Mittal et al. 2013). Ignores the source.",
        "pyiqa",
        with_reference=False,
        min_side=192,
    ),
    Score(
        "vmaf",
        "VMAF",
        "0..100",
        1,
        "high",
        "Netflix's model vmaf_v0.6.1 on luma, against the source at its size; the maximum for a still image is 97.4.",
        "ffmpeg",
        min_side=32,
    ),
    Score(
        "vmaf_neg",
        "VMAF NEG",
        "0..100",
        1,
        "high",
        "VMAF without credit for sharpening (vmaf_v0.6.1neg): if VMAF is much higher, contrast was raised.",
        "ffmpeg",
        min_side=32,
    ),
    Score(
        "cambi",
        "CAMBI",
        "0..24",
        2,
        "low",
        "Netflix's banding index of the image at its own size; above 5 banding is annoying. Ignores the source.",
        "ffmpeg",
        with_reference=False,
        min_side=216,
    ),
    Score(
        "st_lpips",
        "ST-LPIPS",
        "0..1",
        3,
        "low",
        "LPIPS that tolerates shifts of a pixel (Ghildyal and Liu 2022, features of AlexNet), at the source's size.",
        "stlpips",
        min_side=64,
    ),
)
SCORE_KEYS_TEXT = ", ".join(score.key for score in SCORES)
_BY_KEY = {score.key: score for score in SCORES}


@dataclass(frozen=True)
class ScoreResults:
    """The scores of one image."""

    values: dict[str, float] = field(default_factory=dict[str, float])
    """By the key of the score."""
    missing: tuple[str, ...] = ()
    """Which scores are not available, why, and the next step: one sentence per reason."""

    @property
    def sentence(self) -> str:
        """All scores as text."""
        numbers = [f"{score.title} {self.values[score.key]:.{score.digits}f}" for score in SCORES if score.key in self.values]
        return " ".join((*([f"Scores: {', '.join(numbers)}."] if numbers else []), *self.missing))


def parse_scores(text: str) -> tuple[Score, ...]:
    """Return the scores named in ``text``, separated by commas or line breaks, in the order of ``SCORES``; or ``all``.

    Raises:
        WorkflowError: a name is unknown.
    """
    words = [word.strip().lower().replace("-", "_") for word in text.replace("\n", ",").split(",") if word.strip()]
    for word in words:
        if word != "all" and word not in _BY_KEY:
            raise WorkflowError(f"Unknown score {word!r}.", f"Use some of: {SCORE_KEYS_TEXT}; or all.")
    return SCORES if "all" in words else tuple(score for score in SCORES if score.key in words)
