"""Read and write videos, one frame at a time.

Memory does not grow with a video's length. Frames keep the source's times and color meaning; they are converted once each way
and rounded. A video that cannot be read or written is an error with a message, and no incomplete file has its final name.

* ``read``      any video file -> ``VideoStream``, with exact timestamps, trimming and deinterlacing.
* ``color``     Y'CbCr to R'G'B' and back: chroma siting, matrices, color tags of H.273.
* ``write``     ``VideoStream`` -> a video file: segments with a journal, joined with the source's audio, subtitles and tags.
* ``animation`` animated GIF, WebP and APNG.
* ``sequence``  numbered image files, read and written like a video.
"""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .color.rgb_to_yuv import RgbToYuv
    from .color.yuv_to_rgb import ChromaSiting, YuvToRgb, parse_pixel_format
    from .read.channel_layout import decode_audio, read_channel_layout, to_channels
    from .read.container import OPEN_OPTIONS, demux_packets
    from .read.probe import is_interlaced
    from .read.video_reader import DeinterlaceMode, open_video
    from .sequence.read import (
        IMAGE_COLOR,
        Gaps,
        ReadImage,
        compute_sequence_fingerprint,
        list_sequence_frames,
        open_sequence,
        select_time_range,
        slice_time_range,
    )
    from .sequence.write import (
        SequenceJob,
        SequenceSettings,
        WrittenImage,
        find_unfinished_sequence,
        get_sequence_job_settings,
        write_images,
        write_missing_images,
        write_sequence,
    )
    from .write.browser_proxy import write_browser_proxy
    from .write.encoders import (
        ANIMATION_CONTAINERS,
        AUTO_CODEC,
        ENCODERS,
        HARDWARE_FAMILIES,
        MUXER_NAMES,
        HardwareEncoder,
        choose_codec,
    )
    from .write.journal import (
        SOURCE_KEY,
        WORK_NAME,
        Gap,
        JournalState,
        OutputSlot,
        ResumeRequest,
        Segment,
        SegmentFolder,
        UnfinishedOutput,
        write_or_resume,
    )
    from .write.pyav_output import encode_frame, open_output
    from .write.video_writer import (
        EncodeGaps,
        VideoWriteSettings,
        WriteJob,
        WriteReport,
        encode_gaps,
        get_video_job_settings,
        write_video,
    )

__getattr__ = lazy_exports(__name__, __file__)
