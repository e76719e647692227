"""Which scores of other libraries can be asked for, and how each is called. Read without any of them, so that a check answers
at once; ``scoring`` asks the libraries.

A score that compares (``with_reference``) sees both pictures at the size where they meet, the reference's as a rule: it says
how true the picture stayed. The others look at the picture alone, at its own size: they say how good it looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ...errors import WorkflowError

ScoreLibraryName: TypeAlias = Literal["pyiqa", "ffmpeg"]


@dataclass(frozen=True)
class Score:
    """One number about a picture, and which way is better."""

    key: str
    title: str
    unit: str
    digits: int
    better: Literal["low", "high"]
    meaning: str
    library: ScoreLibraryName
    with_reference: bool = True
    min_side: int = 1
    """Pixels of the shorter side below which there is no such number."""


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
    Score(
        "ms_ssim",
        "MS-SSIM",
        "0..1",
        3,
        "high",
        "The same over five scales (Wang et al. 2003).",
        "pyiqa",
        min_side=176,
    ),
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
        "How good the picture looks by itself, learned from people's marks (Ke et al. 2021, KonIQ-10k). Knows no source.",
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
        "How far the picture's statistics are from those of natural pictures (Mittal et al. 2013). Knows no source.",
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
        "Netflix's model vmaf_v0.6.1 on luma, against the source at its size; a still picture reaches 97.4, not 100.",
        "ffmpeg",
        min_side=32,
    ),
    Score(
        "vmaf_neg",
        "VMAF NEG",
        "0..100",
        1,
        "high",
        "The same without credit for sharpening (vmaf_v0.6.1neg): where VMAF is much higher, it paid for contrast.",
        "ffmpeg",
        min_side=32,
    ),
    Score(
        "cambi",
        "CAMBI",
        "0..24",
        2,
        "low",
        "Netflix's banding index of the picture at its own size; above 5 bands disturb. Knows no source.",
        "ffmpeg",
        with_reference=False,
        min_side=216,
    ),
)
SCORE_KEYS_TEXT = ", ".join(score.key for score in SCORES)
_BY_KEY = {score.key: score for score in SCORES}


@dataclass(frozen=True)
class ScoreResults:
    """What was found for one picture."""

    values: dict[str, float] = field(default_factory=dict[str, float])
    """By the key of the score."""
    missing: tuple[str, ...] = ()
    """Why others could not be had: one sentence each, with the next step."""

    @property
    def sentence(self) -> str:
        """All of it in words."""
        numbers = [f"{score.title} {self.values[score.key]:.{score.digits}f}" for score in SCORES if score.key in self.values]
        return " ".join((*([f"Scores: {', '.join(numbers)}."] if numbers else []), *self.missing))


def parse_scores(text: str) -> tuple[Score, ...]:
    """The scores that are named with commas or line breaks, each once, in the order of ``SCORES``; ``all`` is every one.

    Raises ``WorkflowError`` for a word that is none.
    """
    words = [word.strip().lower().replace("-", "_") for word in text.replace("\n", ",").split(",") if word.strip()]
    for word in words:
        if word != "all" and word not in _BY_KEY:
            raise WorkflowError(f"There is no score called {word!r}.", f"Use some of: {SCORE_KEYS_TEXT}; or all.")
    return SCORES if "all" in words else tuple(score for score in SCORES if score.key in words)
