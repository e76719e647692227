"""The values all rooms share. Promises: integers are pixels, axes are named, times are exact fractions.

* ``geometry``  ``Size`` and ``Region``; no numpy, so planning needs none.
* ``transfer``  the curve between light and code, once.
* ``like_comfyui``  a decoded frame as ComfyUI's own nodes see it.
* ``stream``    ``VideoInfo``, ``Frame``, ``FrameStream``: a film as a recipe.

May enter: ``errors``.
"""
