"""Which weights exist, where they are, whether they are what they claim, and loading them.

Promises: a name never leads out of its folder, weights load as tensors only, a file appears under its final name only when
it is whole and its hash is right, and nothing is downloaded unless somebody asked for it.

* ``catalog``            the known models: ``models/catalog.toml``.                        light
* ``locate``             the file that a name stands for; what a selector offers.          light
* ``extra_model_paths``  ComfyUI's file with further folders.                              light
* ``load``               a file becomes spandrel's descriptor, the value on the wire.
* ``facts``              what the tiled engine must know about any descriptor.
* ``ncnn``               ncnn's two files become a state dict; ``converted`` keeps it.
* ``verify``             hashes, and taking in files that somebody downloaded himself.
* ``pull``               the explicit download: HTTPS, resumed, checked.                   light
* ``listing``            the table that ``models list`` shows.                             light

May enter: ``errors``, ``frames``. The light modules import no torch and no numpy.
"""
