"""Values that all packages share. Integers are pixels, axes are named, times are exact fractions.

* ``geometry``      ``Size`` and ``Region``; no numpy, so planning needs none.
* ``tile_spans``    split a line of pixels into overlapping tiles; no numpy.
* ``arrays``        the types of pixel arrays, and what their channels mean.
* ``srgb``          the sRGB transfer function.
* ``bounded_queue`` a queue between producer and consumer, and a thread that produces ahead, bounded in bytes.
* ``frame_rate``    frame rates as fractions, from numbers and texts.
* ``video_stream``  ``VideoInfo``, ``Frame``, ``VideoStream``: a video as a recipe.
"""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .arrays import Floats, Pixels, has_alpha
    from .bounded_queue import POLL_SECONDS, PREFETCH_BYTES, BoundedQueue, prefetch_items
    from .frame_rate import parse_frame_rate, snap_frame_rate
    from .geometry import Region, Size
    from .srgb import linear_to_srgb, srgb_to_linear
    from .tile_spans import PREFERRED_MULTIPLE, Span, split_into_spans
    from .video_stream import (
        ColorInfo,
        DecodedLayout,
        DeviceFrame,
        DeviceImage,
        Frame,
        FrameNumber,
        FrameTimesUnknown,
        MasteringDisplay,
        PlanarFrame,
        PlaneLayout,
        Samples,
        VideoInfo,
        VideoStream,
    )

__getattr__ = lazy_exports(__name__, __file__)
