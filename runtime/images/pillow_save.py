"""Image files that Pillow encodes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image


def save_with_pillow(image: Image.Image, path: Path, format_name: str, **options: Any) -> None:
    """Encode in memory and then write, because Pillow treats a short write, as on a full disk, as success.

    Raises:
        OSError: not every byte could be written.
    """
    encoded = io.BytesIO()
    image.save(encoded, format_name, **options)
    path.write_bytes(encoded.getbuffer())
