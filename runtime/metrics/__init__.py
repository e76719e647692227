"""How true and how good a result is, in numbers. Promises: a formula is named with its source and tested on pictures whose
answer is known; a picture measured against itself has no drift, exactly; memory beside the two pictures stays small at 8K,
except where scores of other libraries are asked for: those take both pictures whole.

* ``choices``       the words that a person chooses between; imports nothing.
* ``pictures``      what may be measured: depth, grey, alpha, NaN, and two sizes that belong together.
* ``lab``           sRGB to CIE L*a*b*, white D65.
* ``delta_e``       CIEDE2000 and CIE76.
* ``distribution``  mean, maximum and percentiles of any number of values, in constant memory.
* ``drift``         colour drift of a picture or a film, with its verdict.
* ``film``          the drift of a film, frame by frame.
* ``diff``          where two pictures differ, as numbers and as a picture; ``colours`` the colormaps, ``legend`` the scale.
* ``artifacts``     all of these on one pair: ``halo``, ``consistency``, ``spectrum``, ``noise``, ``banding``, ``seams``.
  They see it through ``enlargement``, as ``luma``.
* ``scores``        which scores of other libraries can be asked for; light. ``scoring`` asks them, one file per library:
  ``pyiqa_scores`` and ``vmaf``. None of them is needed, and none is ever downloaded or rewritten here.
* ``batches``       ComfyUI's IMAGE in and out: what the nodes call.

numpy arrays in, numbers out; only ``batches`` has tensors at its door.
"""
