"""Measure how faithful and how good a result is. Every formula names its source and is tested on images with known answers; the
drift of an image from itself is exactly 0; memory beyond the two images stays small at 8K, except for scores of external
libraries, which need both images whole.

* ``choices``       the values of options; imports nothing.
* ``pairing``       validate images, and read two of them at a common size: depth, grey, alpha, NaN.
* ``delta_e``       sRGB to CIE L*a*b*, CIE76 and CIEDE2000.
* ``distribution``  mean, maximum and percentiles of any number of values, in constant memory.
* ``drift``         color drift of an image, a batch or a video, with its verdict; ``video`` measures it frame by frame.
* ``diff_map``      where two images differ, as numbers and as a map; ``colormaps``.
* ``metric_table``  one row per metric: column of the report, visible limit, weight, output of the node Artifacts; light.
* ``artifacts``     all of ``artifact_measures/`` on one pair: ``ringing`` (halos), ``consistency``, ``spectrum``, ``noise``,
  ``banding``, ``seams``. They read the pair as ``luma`` through ``enlargement``.
* ``external_scores/``  ``score_table``: the scores of external libraries; light. ``score_runner`` computes them, with a module
  per library: ``pyiqa_scores`` and ``vmaf``. None is required or downloaded.
* ``image_kind``    photograph, drawing or text: what the model ``auto`` depends on.
* ``batch_metrics``  the same for IMAGE batches, called by the nodes.

numpy arrays in, numbers out; only ``batch_metrics`` takes tensors.
"""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .artifacts import ArtifactFinding, Artifacts, measure_artifacts
    from .batch_metrics import (
        draw_batch_diff_maps,
        draw_fault_maps,
        draw_video_heat_map,
        measure_artifact_report,
        measure_batch_drift,
    )
    from .choices import AUTO_COLORMAP, COLORMAPS, DIFF_KINDS, DRIFT_MODES, MAP_SIZES, DriftMode
    from .colormaps import apply_colormap, draw_legend, round_up
    from .degradation import Degradation
    from .delta_e import ciede2000, lab_from_linear
    from .diff_map import measure_difference
    from .drift import LOW_FREQUENCY_SIGMA, Drift, describe_drift, low_pass, measure_drift
    from .external_scores.score_runner import ScoreRunner
    from .external_scores.score_table import SCORE_KEYS_TEXT, SCORES, Score, ScoreResults, parse_scores
    from .fidelity import Fidelity, measure_fidelity
    from .image_kind import KINDS, classify_image
    from .metric_table import (
        ARTIFACT_METRICS,
        CONSISTENT_DB,
        GROUPS,
        METRICS,
        METRICS_BY_KEY,
        SHARPENED_DB,
        SOFTENED_DB,
        VIDEO_METRICS,
        format_seconds,
        format_speed,
        make_formatter,
        mean_of_known,
    )
    from .video import FlickerMeter, measure_video_drift

__getattr__ = lazy_exports(__name__, __file__)
