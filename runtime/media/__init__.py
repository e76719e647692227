"""Values that all packages share. Integers are pixels, axes are named, times are exact fractions.

* ``geometry``      ``Size`` and ``Region``; no numpy, so planning needs none.
* ``tile_spans``    split a line of pixels into overlapping tiles; no numpy.
* ``arrays``        the types of pixel arrays, and what their channels mean.
* ``srgb``          the sRGB transfer function.
* ``bounded_queue`` a queue between producer and consumer that is bounded in bytes.
* ``prefetch``      a thread that produces items ahead of their consumer, bounded in bytes.
* ``video_stream``  ``VideoInfo``, ``Frame``, ``VideoStream``: a video as a recipe.
"""
