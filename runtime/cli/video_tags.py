"""The tags of a film: ComfyUI and Video Out write the workflow there that made it."""

from __future__ import annotations

from pathlib import Path

from ..errors import WorkflowError
from ..graph.document import EXPORT_HINT

_ALLOWED_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"
"""Those that can carry one, and no playlist: that would name other files."""


def read_video_tags(path: Path) -> dict[str, str]:
    """name in small letters (Matroska has only capital ones) -> text. Raises ``WorkflowError`` for what is no film."""
    import av
    from av.error import FFmpegError

    options = {"format_whitelist": _ALLOWED_FORMATS, "protocol_whitelist": "file"}
    try:
        try:
            container = av.open(str(path.absolute()), "r", options=options)
        except UnicodeDecodeError:  # PyAV 18 stops at tags that are no UTF-8; 19 has no such argument and does not stop
            container = av.open(str(path.absolute()), "r", options=options, metadata_errors="replace")
        with container:
            return {name.lower(): text for name, text in container.metadata.items()}
    except (FFmpegError, OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise WorkflowError(
            f"{path} cannot be read as a film that carries a workflow: {why}.", EXPORT_HINT, path=path
        ) from error
