"""What was measured about backends, in a small file in the cache folder that ComfyUI and the command line share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import isfinite
from pathlib import Path
from typing import cast

from ...models.converted import cache_folder
from ...whole import whole
from .trial import Contender, Result

_here: dict[str, Contender] = {}
"""What this process goes by, whatever happens to the file: one run has one answer."""


def recall(key: str, contenders: Sequence[Contender]) -> Contender | None:
    """Which of ``contenders`` was taken before, if the file can be read and says something that can be."""
    if key in _here:
        return _here[key]
    entry = _all().get(key)
    if not isinstance(entry, dict):
        return None
    said = cast("dict[str, object]", entry)
    named = (said.get("backend"), said.get("precision"))
    return next((one for one in contenders if (one.backend, one.precision) == named), None)


def keep(key: str, taken: Contender, results: Mapping[Contender, Result], contenders: Sequence[Contender]) -> Contender:
    """Write the answer down and return what stands: an answer that came first stays.

    A cache that cannot be written is none, and what could not be tried this time may be another time: then this process alone
    remembers.
    """
    standing = recall(key, contenders) or taken
    _here[key] = standing
    if standing is taken and set(results) == set(contenders):
        parts = {one.title: result.part for one, result in results.items() if isfinite(result.part)}
        with suppress(OSError):
            _write({**_all(), key: {"backend": taken.backend, "precision": taken.precision, "parts": parts}})
    return standing


def _file() -> Path:
    return cache_folder() / "backends.json"


def _all() -> dict[str, object]:
    with suppress(OSError, ValueError):
        content: object = json.loads(_file().read_text(encoding="utf-8"))
        return cast("dict[str, object]", content) if isinstance(content, dict) else {}
    return {}


def _write(answers: dict[str, object]) -> None:
    with whole(_file()) as part:
        part.write_text(json.dumps(answers, indent=1), encoding="utf-8")
