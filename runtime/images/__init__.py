"""Read and write image files. Values are read as stored (bit depth, alpha, profile, linear light); a damaged file raises an
error and never yields part of an image; a file gets its final name only when it is complete.

* ``image_file``       the contents of an image file as one value.
* ``read``             any image file -> ``ImageFile``.
* ``write``            pixels -> any image file.
* ``sample_conversion``  floats and integers, sRGB encoding and linear light, one strip of rows at a time.
* ``resize``           reduce by area in linear light or enlarge by a cubic, any range of rows alone; small previews.
* ``alpha``            fill the color of transparent pixels, before it can bleed into the edges.
* ``sequence_frames``  image files as the frames of a video.
* ``animation``        whether a file is an animation; imports nothing heavy.

Below them: ``metadata`` (EXIF and ICC), and ``formats/``: ``header`` (format and size, before a pixel is decoded),
``png``, ``webp``, ``gif``, ``jxl`` (the structure of these files), ``image_decoders``, ``image_encoders``.

numpy arrays in and out; no module here imports torch or ComfyUI.
"""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .alpha import clamp_to_neighbours, fill_transparent_pixels
    from .animation import is_animation, read_play_count
    from .formats.gif import can_turn_transparent, verify_blocks
    from .formats.header import (
        MAX_PIXELS,
        PILLOW_READERS,
        ImageHeader,
        check_pixel_limit,
        make_damaged_file_error,
        read_header,
        translate_decoder_errors,
    )
    from .formats.image_decoders import decode_image
    from .formats.image_encoders import EncodeJob, check_last_row, save_with_pillow, write_png
    from .formats.png import verify_chunks
    from .formats.webp import read_webp_animation
    from .image_file import BitDepth, ImageFormatError, make_non_finite_error
    from .metadata import is_profile_for
    from .read import read_image_file, read_image_size
    from .resize import (
        ResizeTaps,
        make_area_taps,
        make_cubic_taps,
        make_filter_taps,
        make_preview,
        reduce_in_linear_light,
        resample,
    )
    from .sample_conversion import iter_strips, linear_image_to_srgb, srgb_image_to_linear, to_floats, to_integers
    from .sequence_frames import make_frame_reader, make_frame_writer
    from .write import OUTPUT_FORMATS, OutputFormat, check_depth, save_image, write_image_file

__getattr__ = lazy_exports(__name__, __file__)
