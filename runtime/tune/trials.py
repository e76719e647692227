"""Try candidate settings on crops whose truth is known; another setting is taken only where it is notably closer to it.

A crop of the source is the truth. It is reduced fourfold, damaged as the source is, and restored with each candidate. Where the
source is noisy its crop is first reduced until that noise is no longer seen, so that giving the noise back is no merit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..errors import WorkflowError
from ..images import to_floats
from ..media import Floats, Frame, Region, VideoStream
from ..metrics import METRICS_BY_KEY, Degradation, Fidelity, measure_fidelity
from ..models import DENOISE_MODELS, chain_models, find_model, interpolate_models, list_catalog_models, load_model
from ..progress import OpenProgress
from ..upscale import TiledUpscaleSettings, steady_video, upscale_batch
from ..video import open_video
from .advice import Advice
from .footage import Footage, make_luma

if TYPE_CHECKING:
    from ..models import Descriptor

FACTOR = 4
_SIDE = 256
"""Of a crop, in pixels of the truth."""
_CROPS = 2
_VISIBLE_NOISE = 1.0
_OTHER_MODELS = 2
_DENOISE = (0.0, 0.25, 0.5, 0.75, 1.0)
_STRENGTHS = (0.8, 0.6)
_STEADY = (0.5, None)
_RUN_FRAMES = 9
_REMEDIES = {"noise": "denoise-realplksr-x1", "blocks": "dejpg-realplksr-x1", "video blocks": "deh264-realplksr-x1"}
_WEIGHTS = {"texture": 0.5, "gmsd": 0.2, "drift": 0.2, "psnr_db": 0.1}
"""As a comparison recommends models: texture decides with edges and color, because pixel errors reward blur."""
_NOTABLE = 1.0
"""Gain from which another setting is taken: as much as one notable difference in every number."""


@dataclass(frozen=True)
class Trial:
    """One candidate on all crops. ``gain`` is in notable differences against what was chosen before it."""

    name: str
    advice: Advice
    fidelity: Fidelity
    gain: float = 0.0
    is_chosen: bool = False


@dataclass(frozen=True)
class TrialSettings:
    """Where models are and run."""

    folders: Sequence[Path]
    device: str = "auto"
    backend: str = "auto"


def improve_advice(
    advice: Advice, footage: Footage, pixels: Floats, path: Path, settings: TrialSettings, open_progress: OpenProgress
) -> tuple[Advice, list[Trial]]:
    """Return the settings after all trials, and the trials in their order; the first is that of ``advice``.

    ``pixels`` (H, W, 3) in 0..1 is an image of the source ``path``. ``advice.model`` is the name of a model that is there.
    """
    truths = cut_truths(pixels, footage.noise)
    damage = Degradation.parse(advice.degradation)
    inputs = [damage.reduce(truth, FACTOR) for truth in truths]

    upscale = partial(_upscale, settings=settings, open_progress=open_progress)

    def restore(candidate: Advice) -> Fidelity:
        restored = upscale(inputs, load_candidate(candidate, settings.folders), candidate)
        return _average([measure_fidelity(*pair) for pair in zip(truths, restored, strict=True)])

    def restore_run(candidate: Advice) -> Fidelity:
        truth, noisy = cut_steadied(path, footage, damage, candidate.steady or 0.0)
        return measure_fidelity(truth, upscale([noisy], load_candidate(candidate, settings.folders), candidate)[0])

    trials = [Trial("as examined", advice, restore(advice), is_chosen=True)]
    for list_stage in (list_models_to_try, list_restorers, list_denoise, list_strengths):
        _run_stage(trials, list_stage(find_chosen(trials).advice, footage, settings.folders), restore)
    best = find_chosen(trials).advice
    if not (footage.is_video and best.steady):
        return best, trials
    run_trials = [Trial(f"steady {best.steady:g}", best, restore_run(best), is_chosen=True)]
    _run_stage(run_trials, [(f"steady {value or 0:g}", replace(best, steady=value)) for value in _STEADY], restore_run)
    return find_chosen(run_trials).advice, [*trials, *run_trials]


def _upscale(
    images: Sequence[Floats],
    descriptor: Descriptor,
    candidate: Advice,
    *,
    settings: TrialSettings,
    open_progress: OpenProgress,
) -> list[Floats]:
    request = TiledUpscaleSettings(f"{FACTOR}x", settings.device, backend=settings.backend, strength=candidate.strength)
    batches = (torch.from_numpy(image)[None] for image in images)  # pyright: ignore[reportUnknownMemberType]
    return [upscale_batch(batch, descriptor, request, open_progress)[0].numpy() for batch in batches]


def find_chosen(trials: Sequence[Trial]) -> Trial:
    """Return the chosen one."""
    return next(one for one in trials if one.is_chosen)


def _run_stage(trials: list[Trial], candidates: Sequence[tuple[str, Advice]], restore: Callable[[Advice], Fidelity]) -> None:
    """Add the candidates to ``trials``; the best of them is chosen where its gain is notable."""
    before = find_chosen(trials)
    measured = [(name, advice, restore(advice)) for name, advice in candidates]
    tried = [Trial(name, advice, one, compute_gain(before.fidelity, one)) for name, advice, one in measured]
    best = max(tried, key=lambda one: one.gain, default=None)
    if best is not None and best.gain >= _NOTABLE:
        trials[trials.index(before)] = replace(before, is_chosen=False)
        tried[tried.index(best)] = replace(best, is_chosen=True)
    trials.extend(tried)


def compute_gain(before: Fidelity, after: Fidelity) -> float:
    """Return how much closer to the truth ``after`` is, in notable differences, weighted."""
    total = 0.0
    for key, weight in _WEIGHTS.items():
        metric = METRICS_BY_KEY[f"truth_{key}"]
        change = getattr(after, key) - getattr(before, key)
        total += weight * (change if metric.better == "high" else -change) / metric.notable_difference
    return total


def cut_truths(pixels: Floats, noise: float, *, by_contrast: bool = True) -> list[Floats]:
    """Return the crops with most and with middling contrast, else the one in the middle: (H, W, 3), for ``FACTOR``.

    An image of a noisy source is reduced first. Raises ``WorkflowError`` for one that is too small.
    """
    if min(pixels.shape[:2]) < 4 * FACTOR:
        raise WorkflowError(f"{pixels.shape[1]}x{pixels.shape[0]} pixels are too few for trials.", "Use --no-trial.")
    clean = max(round(noise / _VISIBLE_NOISE), 1)
    clean = min(clean, max(min(pixels.shape[:2]) // (_SIDE // 2), 1))
    colors = np.repeat(pixels[:, :, :1], 3, axis=2) if pixels.shape[2] < 3 else pixels[:, :, :3]
    side = _SIDE * clean
    height, width = (min(side, length) // (FACTOR * clean) * FACTOR * clean for length in pixels.shape[:2])
    places = [
        Region(x, y, width, height)
        for y in range(0, pixels.shape[0] - height + 1, height)
        for x in range(0, pixels.shape[1] - width + 1, width)
    ]
    crops = [np.ascontiguousarray(colors[place.rows, place.columns], np.float32) for place in places]
    if by_contrast:
        crops.sort(key=lambda crop: float(make_luma(crop).std()), reverse=True)
    chosen = [crops[0], crops[len(crops) // 2]][: min(_CROPS, len(crops))] if by_contrast else [crops[len(crops) // 2]]
    return [Degradation().reduce(crop, clean) for crop in chosen]


def cut_steadied(path: Path, footage: Footage, damage: Degradation, strength: float) -> tuple[Floats, Floats]:
    """Return the truth of the middle frame of a run, and that frame reduced, with noise of its own, and steadied."""
    stream = open_video(path, deinterlace="keep" if footage.scan == "progressive" else "bwdif", on_message=lambda _: None)
    truths: list[Floats] = []
    frames: list[Frame] = []
    with stream.frames(max((footage.frames or 0) // 2 - _RUN_FRAMES // 2, 0)) as opened:
        for number, frame in enumerate(islice(opened, _RUN_FRAMES)):
            pixels = to_floats(frame.pixels)
            pixels = pixels[footage.inside.rows, footage.inside.columns] if footage.inside else pixels
            truths.append(cut_truths(pixels, footage.noise, by_contrast=False)[0])
            noisy = np.rint(damage.reduce(truths[-1], FACTOR, seed=number) * 65535).astype(np.uint16)
            frames.append(replace(frame, pixels=noisy))
    info = replace(stream.info, size=frames[0].size, identity="trial", frame_count=len(frames))
    middle = len(frames) // 2
    with steady_video(VideoStream(info, lambda: iter(frames)), strength).frames(middle) as steadied:
        return truths[middle], to_floats(next(steadied).pixels)


def list_models_to_try(advice: Advice, footage: Footage, folders: Sequence[Path]) -> list[tuple[str, Advice]]:
    """Return other models that enlarge and are there, each alone."""
    names = [found.name for found in list_catalog_models(folders) if found.entry is None or found.entry.scale > 1]
    others = [name for name in names if name not in (advice.model, DENOISE_MODELS[1])][:_OTHER_MODELS]
    return [(name, replace(advice, model=name, denoise=None)) for name in others]


def list_restorers(advice: Advice, footage: Footage, folders: Sequence[Path]) -> list[tuple[str, Advice]]:
    """Return 1x models against the damage that was found, where they are there."""
    here = {found.name for found in list_catalog_models(folders)}
    keys = [f"video {one}" if footage.is_video and one == "blocks" else one for one in sorted(advice.damages)]
    names = [_REMEDIES[key] for key in keys if _REMEDIES.get(key) in here]
    return [(f"{name} before it", replace(advice, restore=name)) for name in names]


def list_denoise(advice: Advice, footage: Footage, folders: Sequence[Path]) -> list[tuple[str, Advice]]:
    """Return other strengths of the two models of Real-ESRGAN."""
    values = [] if advice.denoise is None else [value for value in _DENOISE if value != advice.denoise]
    return [(f"denoise {value:g}", replace(advice, denoise=value)) for value in values]


def list_strengths(advice: Advice, footage: Footage, folders: Sequence[Path]) -> list[tuple[str, Advice]]:
    """Return blends with the plain enlargement."""
    return [(f"strength {value:g}", replace(advice, strength=value)) for value in _STRENGTHS]


def load_candidate(advice: Advice, folders: Sequence[Path]) -> Descriptor:
    """Load the network of these settings. Raises ``ModelNotFound``."""
    last = load_model(find_model(advice.model, folders))
    if advice.denoise is not None:
        last = interpolate_models(last, load_model(find_model(DENOISE_MODELS[1], folders)), 1 - advice.denoise)
    return chain_models([*([load_model(find_model(advice.restore, folders))] if advice.restore else []), last])


def _average(parts: Sequence[Fidelity]) -> Fidelity:
    names = parts[0].as_dict()
    return Fidelity(**{name: float(np.mean([getattr(part, name) for part in parts])) for name in names})
