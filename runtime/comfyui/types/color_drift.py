"""Color drift of ComfyUI's values: two IMAGE batches, or two VIDEOs."""

import json
from typing import Any

import torch

from ...errors import WorkflowError
from ...metrics import Drift, DriftMode, draw_video_heat_map, measure_batch_drift, measure_video_drift
from ...progress import OpenProgress
from .video import map_video_value


def measure_drift_values(
    reference: Any, upscaled: Any, mode: DriftMode, scale: float, colormap: str, every_nth: int, open_progress: OpenProgress
) -> tuple[Drift, torch.Tensor, str]:
    """Return the color drift, its heat map (B, h, w, 3) and all numbers as JSON. ``scale`` 0 selects a round number.

    Raises ``WorkflowError`` for a video and an image.
    """
    are_videos = [not hasattr(value, "shape") for value in (reference, upscaled)]
    if any(are_videos) and not all(are_videos):
        raise WorkflowError("A video cannot be compared with an image.", "Connect two videos, or two images.")
    if all(are_videos):
        first, second = (map_video_value(value, open_progress, lambda stream, _: stream) for value in (reference, upscaled))
        with (
            open_progress(min(first.get_frame_count(), second.get_frame_count()), "frame") as progress,
            first.messages.forward_to(progress),
            second.messages.forward_to(progress),
        ):
            drift, values = measure_video_drift(first.stream, second.stream, mode, progress, every_nth)
            progress.message(drift.sentence)
        heat_map = draw_video_heat_map(values, drift, scale, colormap)
    else:
        with open_progress(max(len(reference), len(upscaled)), "image") as progress:
            drift, heat_map = measure_batch_drift(reference, upscaled, mode, scale, colormap, progress.advance)
            progress.message(drift.sentence)
    return drift, heat_map, json.dumps(drift.as_dict(), indent=2)
