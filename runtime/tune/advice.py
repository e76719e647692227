"""What to do about footage: the settings that follow from its measures, each with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelError
from ..models import AUTO_MODEL, DENOISE_MODELS, choose_model, find_model
from .footage import Footage, examine_file

_NOISY = 2.0
"""8-bit steps from which noise is visible after an enlargement."""
_VERY_NOISY = 8.0
_BLOCKY = 0.8
"""8-bit steps: JPEG of quality 50 has 1 to 1.8, of 90 at most 0.4."""
_SOFT = 0.5


@dataclass(frozen=True)
class Reason:
    """One thing that was found, and what is done about it; ``damage`` is empty where nothing is wrong."""

    damage: str
    text: str


@dataclass(frozen=True)
class Advice:
    """How to upscale it, in the words of ``upscale``."""

    model: str
    reasons: tuple[Reason, ...]
    denoise: float | None = None
    steady: float | None = None
    skip_borders: bool = False
    deinterlace: str | None = None
    strength: float = 1.0
    """Share of the model in the result; the rest is the plain enlargement."""
    restore: str = ""
    """A 1x model that runs before it; empty for none."""
    degradation: str = ""
    """The damage for the truth test, as ``compare --degrade`` takes it; empty for none."""

    @property
    def damages(self) -> set[str]:
        return {reason.damage for reason in self.reasons if reason.damage}


WidgetValues = dict[str, dict[str, Any]]


def list_widget_values(path: Path, max_pixels: int, folders: Sequence[Path]) -> tuple[WidgetValues, list[str]]:
    """Return for an image or a video the values of inputs by type of node, and the reasons as sentences.

    A model whose weights are missing is named in a reason and not set. Raises ``MediaError`` for what cannot be read.
    """
    footage, _ = examine_file(path, max_pixels)
    advice = advise(footage)
    reasons = [reason.text for reason in advice.reasons]
    model: dict[str, Any] = {"model": advice.model, "second_model": "none"}
    if advice.denoise is not None:
        model |= {"second_model": DENOISE_MODELS[1], "second_weight": round(1 - advice.denoise, 6)}
    try:
        if advice.denoise is None:
            model["model"] = choose_model(footage.kind, advice.model, folders, is_animation=footage.is_video).name
        for name in DENOISE_MODELS if advice.denoise is not None else ():
            find_model(name, folders)
    except ModelError as error:
        model, reasons = {}, [*reasons, f"The model stays as it is: {error}"]
    upscale: dict[str, Any] = {"strength": advice.strength}
    if not footage.is_video:
        return {"UpscaleModel": model, "TiledUpscale": upscale}, reasons
    upscale |= {"steady": advice.steady or 0.0, "skip_borders": advice.skip_borders}
    reader = {"deinterlace": advice.deinterlace} if advice.deinterlace else {}
    return {"UpscaleModel": model, "TiledUpscaleVideo": upscale, "VideoIn": reader}, reasons


def advise(footage: Footage) -> Advice:
    """Return settings for ``footage``."""
    is_noisy, is_blocky = footage.noise >= _NOISY, footage.blockiness >= _BLOCKY
    is_photograph = footage.kind == "photograph"
    strength = min(max(round(footage.noise / _VERY_NOISY, 1), 0.3), 1.0) if is_noisy else 0.7
    denoise = strength if is_photograph and (is_noisy or is_blocky) else None
    seen = {"photograph": "a photograph or real scene", "drawing": "a drawing", "text": "text or a screenshot"}[footage.kind]
    model = DENOISE_MODELS[0] if denoise is not None else AUTO_MODEL
    chosen = (
        f"{model}, with a denoise strength of {denoise:g}" if denoise is not None else "auto, which chooses the model for that"
    )
    reasons = [Reason("", f"It looks like {seen}: {chosen}.")]
    if is_noisy:
        reasons.append(Reason("noise", f"Noise of {footage.noise:.1f} steps of 255: {_name_noise_remedy(footage, denoise)}."))
    if is_blocky:
        text = f"Blocks of 8x8 pixels from strong compression (their edges jump by {footage.blockiness:.1f} steps)"
        reasons.append(Reason("blocks", f"{text}: the model was trained on such damage and removes it."))
    if footage.resolution <= _SOFT:
        size, share = footage.size, footage.resolution
        text = (
            f"Its detail fits into {round(size.width * share)}x{round(size.height * share)} pixels, so it was enlarged or is "
        )
        text += "blurred; the model sharpens it, but invents what it adds."
        reasons.append(Reason("soft", text))
    reasons += _explain_video(footage)
    modes = {"telecine": "telecine", "interlaced": "bwdif"}
    parts = [f"noise={footage.noise:.1f}"] * is_noisy + ["jpeg=30"] * is_blocky
    return Advice(
        model,
        tuple(reasons),
        denoise,
        1.0 if footage.is_video and is_noisy else None,
        footage.inside is not None,
        modes.get(footage.scan),
        degradation=",".join(parts),
    )


def _name_noise_remedy(footage: Footage, denoise: float | None) -> str:
    steps = [] if denoise is None else [f"a denoise strength of {denoise:g}"]
    steps += ["steady 1, which averages still areas"] if footage.is_video else []
    return " and ".join(steps) or "the model for drawings removes it"


def _explain_video(footage: Footage) -> list[Reason]:
    reasons: list[Reason] = []
    if footage.scan == "telecine":
        reasons.append(
            Reason("telecine", "Two of every five frames are combed, a movie shown 30 times a second: telecine undoes it.")
        )
    if footage.scan == "interlaced":
        reasons.append(Reason("interlaced", "Frames hold fields of two times: bwdif makes full frames of them."))
    if footage.inside is not None:
        reasons.append(Reason("borders", f"Black borders around {footage.inside.size}: they are not run through the model."))
    if footage.is_hdr:
        reasons.append(
            Reason("hdr", "It is HDR: it is kept, with 10 bits; its model was trained on SDR, so look at highlights.")
        )
    return reasons
