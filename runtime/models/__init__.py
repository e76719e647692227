"""Which weights exist, where they are, whether they are what they claim, and loading them.

Promises: a name never leads out of its folder, weights load as tensors only, a file appears under its final name only when
it is whole and has its confirmed hash (a warning says where none is confirmed), and nothing is downloaded unasked.

* ``catalog``            the known models: ``models/catalog.toml``.                        light
* ``locate``             the file that a name stands for; what a selector offers.          light
* ``extra_model_paths``  ComfyUI's file with further folders.                              light
* ``networks``           spandrel, without what it would bring along unused.
* ``load``               a file becomes spandrel's descriptor, the value on the wire.
* ``facts``              what the tiled engine must know about any descriptor.
* ``ncnn``               ncnn's two files become a state dict; ``converted`` keeps it.
* ``export``             a loaded model becomes an ONNX file, checked against torch.
* ``generated``          generated weights in the official layouts: for speed, tiling and loaders, never for pictures.
* ``provenance``         where loaded weights came from; hashes of files.                  light
* ``verify``             the verdict on what is here, and taking in files that somebody downloaded himself.
* ``pull``               the explicit download: HTTPS, resumed, checked.                   light
* ``listing``            the table that ``models list`` shows.                             light

The light modules import no torch and no numpy.
"""
