"""Picture files in and out. Promises: every number of a file that is read is one that stands in it (depth, alpha, profile,
linear light); a file that is damaged is an error and never half a picture; nothing half-written stands under its final name.

* ``picture``       what a file holds, as one value.
* ``transfer``      whole pictures between sRGB encoding and linear light.
* ``read``          any picture file -> ``Picture``.
* ``write``         pixels -> any picture file.
* ``like_comfyui``  what ComfyUI's own LoadImage and SaveImage do, number for number.
* ``tensor``        between files and ComfyUI's IMAGE. It, ``batches`` and ``save_advanced`` know torch, no other file here.
* ``batches``       what ComfyUI's own nodes do with batches, alpha and lists of tiles, bit for bit.
* ``save_advanced`` what ComfyUI's SaveImageAdvanced writes.
* ``area``          reduced by area in linear light, or enlarged by a cubic, any rows of a picture alone.
* ``film``          picture files as the frames of a film; ``preview`` is a small picture of a large one.
* ``alpha``         colour under transparent pixels, before it can bleed into the edges.

Below them: ``header`` (which format, how large, before a pixel is decoded), ``png``, ``webp``, ``gif``, ``jxl`` (the structure
of these files), ``decode``, ``encode``, ``quantize``, ``orientation``, ``metadata``, ``icc_profile``, ``refusal``.

numpy arrays in and out.
"""
