"""ComfyUI's types and contracts: wire values (``types``), built-in nodes (``builtin``), node packs (``custom_nodes``)."""

# pyright: reportUnusedImport=false

from typing import TYPE_CHECKING

from ..lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .builtin.calculate import calculate
    from .builtin.glsl import apply_shader, sample_curve
    from .builtin.image_ops import (
        extract_channel_mask,
        invert_images,
        join_alpha,
        make_empty_images,
        merge_tiles,
        rebatch_images,
        repeat_batch,
        split_alpha,
        split_tiles,
        take_from_batch,
    )
    from .builtin.image_scale import (
        batch_all_images,
        batch_images,
        crop_images,
        resize_by_mode,
        scale_images,
        scale_images_by,
        scale_to_longer_side,
        scale_to_total_pixels,
        upscale_with_model,
    )
    from .builtin.image_stitch import stitch_images
    from .builtin.load_save_image import save_image_advanced
    from .builtin.mask_ops import (
        as_planes,
        combine_masks,
        composite_images,
        feather_mask,
        fit_into,
        grow_mask,
        make_histograms,
        make_silence,
        mask_to_images,
        match_color,
        merge_audio,
    )
    from .builtin.networks.depth_anything import estimate_depth, load_depth_model, render_depth
    from .builtin.networks.frame_interpolation import interpolate_frames, load_frame_interpolator
    from .builtin.preview_any import format_value
    from .builtin.video import VideoComponents, VideoFromComponents, VideoFromFile, encode_to_memory, join_videos
    from .builtin.video_encode import save_numbered
    from .custom_nodes.environment_guard import guard_environment
    from .custom_nodes.pack_loader import load_node_pack
    from .custom_nodes.stub_modules import install_stubs
    from .types.color_drift import measure_drift_values
    from .types.image import (
        FindOutputPath,
        ImageSaveOptions,
        load_image_tensors,
        read_image,
        save_image_tensors,
        to_image_tensor,
        write_images,
    )
    from .types.image_folder import compute_folder_fingerprint, find_folder_images, read_image_folder
    from .types.source_kind import classify_file, classify_source, read_source_size
    from .types.video import map_video_value, open_sequence_value, open_video_value, write_sequence_value, write_video_value

__getattr__ = lazy_exports(__name__, __file__)
