"""Stores which backend was measured to be the fastest, in a file that ComfyUI and the command line share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import isfinite
from typing import cast

from ...atomic_write import atomic_write
from ...paths import get_autotune_file
from .trial import Candidate, TrialResult

_process_choices: dict[str, Candidate] = {}
"""The answers of this process, whatever happens to the file: within one run an answer never changes."""


def load(key: str, candidates: Sequence[Candidate]) -> Candidate | None:
    """Return the stored choice if it is one of ``candidates``; None where it is missing or invalid."""
    if key in _process_choices:
        return _process_choices[key]
    entry = _read_all().get(key)
    if not isinstance(entry, dict):
        return None
    fields = cast("dict[str, object]", entry)
    stored = (fields.get("backend"), fields.get("precision"))
    return next((one for one in candidates if (one.backend, one.precision) == stored), None)


def store(key: str, choice: Candidate, results: Mapping[Candidate, TrialResult], candidates: Sequence[Candidate]) -> Candidate:
    """Store ``choice`` unless there is an earlier one, and return the one that is valid from now on.

    Only this process remembers it if the file cannot be written, or if a candidate could not be tried, which may work next
    time.
    """
    stored_choice = load(key, candidates) or choice
    _process_choices[key] = stored_choice
    if stored_choice is choice and set(results) == set(candidates):
        relative_times = {one.title: result.relative_time for one, result in results.items() if isfinite(result.relative_time)}
        with suppress(OSError):
            _write_all(
                {**_read_all(), key: {"backend": choice.backend, "precision": choice.precision, "parts": relative_times}}
            )
    return stored_choice


def _read_all() -> dict[str, object]:
    with suppress(OSError, ValueError):
        content: object = json.loads(get_autotune_file().read_text(encoding="utf-8"))
        return cast("dict[str, object]", content) if isinstance(content, dict) else {}
    return {}


def _write_all(entries: dict[str, object]) -> None:
    with atomic_write(get_autotune_file()) as temporary:
        temporary.write_text(json.dumps(entries, indent=1), encoding="utf-8")
