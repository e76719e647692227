"""The values all rooms share. Promises: integers are pixels, axes are named, times are exact fractions.

* ``geometry``  ``Size`` and ``Region``; no numpy, so planning needs none.
* ``transfer``  the curve between light and code, once.
* ``stream``    ``VideoInfo``, ``Frame``, ``FrameStream``: a film as a recipe.

May enter: ``errors``.
"""
