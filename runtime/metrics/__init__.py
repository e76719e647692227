"""Measure how faithful and how good a result is. Every formula names its source and is tested on images with known answers; the
drift of an image from itself is exactly 0; memory beyond the two images stays small at 8K, except for scores of external
libraries, which need both images whole.

* ``choices``       the values of options; imports nothing.
* ``pairing``       validate images, and read two of them at a common size: depth, grey, alpha, NaN.
* ``delta_e``       sRGB to CIE L*a*b*, CIE76 and CIEDE2000.
* ``distribution``  mean, maximum and percentiles of any number of values, in constant memory.
* ``drift``         color drift of an image, a batch or a video, with its verdict; ``video`` measures it frame by frame.
* ``diff_map``      where two images differ, as numbers and as a map; ``colormaps``, ``legend``.
* ``metric_table``  one row per metric: column of the report, visible limit, weight, output of the node Artifacts; light.
* ``artifacts``     all of ``artifact_measures/`` on one pair: ``ringing`` (halos), ``consistency``, ``spectrum``, ``noise``,
  ``banding``, ``seams``. They read the pair as ``luma`` through ``enlargement``.
* ``external_scores/``  ``score_table``: the scores of external libraries; light. ``score_runner`` computes them, with a module
  per library: ``pyiqa_scores`` and ``vmaf``. None is required or downloaded.
* ``batch_metrics``  the same for IMAGE batches, called by the nodes.

numpy arrays in, numbers out; only ``batch_metrics`` takes tensors.
"""
