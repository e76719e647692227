"""The values all rooms share. Promises: integers are pixels, axes are named, times are exact fractions.

* ``geometry``  ``Size`` and ``Region``; no numpy, so planning needs none.
* ``cuts``      where a line of pixels is cut into tiles that overlap; no numpy.
* ``transfer``  the curve between light and code, once.
* ``like_comfyui``  a decoded frame as ComfyUI's own nodes see it.
* ``stream``    ``VideoInfo``, ``Frame``, ``FrameStream``: a film as a recipe.
"""
