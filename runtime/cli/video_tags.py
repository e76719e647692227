"""Read the tags of a video, in which ComfyUI and Video Out write the workflow that made it."""

from pathlib import Path

from ..errors import WorkflowError
from ..graph import EXPORT_HINT

_ALLOWED_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"
"""Containers that can have a workflow; no playlists, because they name other files."""


def read_video_tags(path: Path) -> dict[str, str]:
    """Return text by lower-case name (Matroska has upper-case names). Raises ``WorkflowError`` for other files."""
    import av
    from av.error import FFmpegError

    options = {"format_whitelist": _ALLOWED_FORMATS, "protocol_whitelist": "file"}
    try:
        try:
            container = av.open(str(path.absolute()), "r", options=options)
        except UnicodeDecodeError:  # PyAV 18 rejects tags that are not UTF-8; PyAV 19 accepts them, without this argument
            container = av.open(str(path.absolute()), "r", options=options, metadata_errors="replace")
        with container:
            return {name.lower(): text for name, text in container.metadata.items()}
    except (FFmpegError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise WorkflowError(f"{path} cannot be read as a video with a workflow: {why}.", EXPORT_HINT, path=path) from error
