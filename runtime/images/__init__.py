"""Read and write image files. Values are read as stored (bit depth, alpha, profile, linear light); a damaged file raises an
error and never yields part of an image; a file gets its final name only when it is complete.

* ``image_file``       the contents of an image file as one value.
* ``read``             any image file -> ``ImageFile``.
* ``write``            pixels -> any image file.
* ``linear_light``     whole images between sRGB encoding and linear light.
* ``quantize``         between floats and integers, one strip of rows at a time.
* ``resize``           reduce by area in linear light or enlarge by a cubic, any range of rows alone; small previews.
* ``alpha``            fill the color of transparent pixels, before it can bleed into the edges.
* ``sequence_frames``  image files as the frames of a video.

Below them: ``metadata`` (EXIF), ``icc_profile``, ``pillow_save``, ``errors``, and ``formats/``: ``header`` (format and size,
before a pixel is decoded), ``png``, ``webp``, ``gif``, ``jxl`` (the structure of these files), ``image_decoders``,
``image_encoders``.

numpy arrays in and out; no module here imports torch or ComfyUI.
"""
