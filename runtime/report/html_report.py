"""``report.html``: one file with every picture in it, a slider between any two of them, and the tables. It loads nothing.

The policy in its head forbids all requests, and allows exactly this script and this style by their hashes. Whatever comes from
outside (names of files and models, errors) is escaped and is never a part of the script.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .comparison import ComparedCrop, ComparedModel, ModelComparison
from .drawing import to_pil_image
from .drift_maps import compute_drift_maps
from .findings import describe_findings, recommend_models
from .summary import COLUMNS, SCORE_COLUMNS, Column, ModelSummary, select_filled_columns, summarize_models

Floats = NDArray[np.float32]

MAX_SIDE = 2048
"""Pixels of a side of the pictures in the page; larger ones are reduced, and the page says so."""
WEBP_QUALITY = 90
_FOLDER = Path(__file__).parent
_ZOOMS = ((0, "Fit"), (1, "1:1"), (2, "2:1"), (4, "4:1"))


def render_html(comparison: ModelComparison) -> str:
    """The whole HTML document."""
    style, script = ((_FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    title = f"Upscale comparison: {comparison.source}" if comparison.source else "Upscale comparison"
    sources = f"style-src '{_hash_for_csp(style)}'; script-src '{_hash_for_csp(script)}'"
    policy = f"default-src 'none'; img-src data:; {sources}; base-uri 'none'"
    rows = summarize_models(comparison)
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>",
            *_render_header(comparison),
            "<main>",
            *_render_recommendations(rows),
            *_render_viewer(comparison),
            *_render_table("Numbers", select_filled_columns(COLUMNS, rows), rows, comparison.failed),
            *_render_scores(comparison, rows),
            *_render_findings(rows),
            "</main>",
            *_render_footer(comparison),
            f"<script>{script}</script>\n</body>\n</html>\n",
        ]
    )


def _hash_for_csp(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _render_header(comparison: ModelComparison) -> Iterator[str]:
    yield f"<header><h1>{escape(comparison.source) or 'Upscale comparison'}</h1>"
    count = sum(not one.baseline for one in comparison.completed)
    models = "One model" if count == 1 else f"{count} models"
    yield f'<p class="muted">{models} and two base lines, {comparison.size} to {escape(comparison.target)}. '
    yield f"{escape(comparison.date)}, {escape(comparison.machine)}</p>"
    yield from (f'<p class="note">{escape(note)}</p>' for note in comparison.remarks)
    yield "</header>"


def _render_recommendations(rows: Sequence[ModelSummary]) -> Iterator[str]:
    yield '<h2>Recommended</h2><div class="cards">'
    for one in recommend_models(rows):
        pick = one.best.model.title if one.best else "None"
        yield f'<div class="card"><div class="use">{one.use_case.name}: {one.use_case.priorities}</div>'
        yield f'<div class="pick">{escape(pick)}</div><p class="why">{escape(one.reason)}</p></div>'
    yield "</div>"


def _render_viewer(comparison: ModelComparison) -> Iterator[str]:
    if not comparison.completed:
        return
    yield '<h2>Side by side</h2><div class="bar">'
    crops = [(str(index), case.crop.name) for index, case in enumerate(comparison.crops)]
    names = [("source", "Source"), *((str(index), one.title) for index, one in enumerate(comparison.completed))]
    baseline_indices = [index for index, one in enumerate(comparison.completed) if one.baseline]
    model_indices = [index for index, one in enumerate(comparison.completed) if not one.baseline]
    yield _render_select("left", "Left", names, str(baseline_indices[0]) if baseline_indices else "source")
    yield '<button type="button" id="swap" aria-label="Swap left and right">⇄</button>'
    yield _render_select("right", "Right", names, str(model_indices[0]) if model_indices else names[-1][0])
    yield _render_select("crop", "Crop", crops, "0", hidden=len(crops) == 1)
    yield '<span class="space"></span><button type="button" id="maps" aria-pressed="false">Difference maps</button>'
    yield from (f'<button type="button" data-zoom="{zoom}">{name}</button>' for zoom, name in _ZOOMS)
    yield '</div><div class="stage" id="stage">'
    yield '<div class="pane" id="right-pane"><img alt=""></div><div class="pane" id="left-pane"><img alt=""></div>'
    yield '<span class="tag" id="left-tag"></span><span class="tag" id="right-tag"></span>'
    yield '<div class="handle" id="handle" role="slider" tabindex="0" aria-label="Where left meets right"'
    yield ' aria-valuemin="0" aria-valuemax="100" aria-valuenow="50"></div></div>'
    yield '<p class="muted" id="scale" hidden></p>'
    yield '<p class="muted">Drag the handle; turn the wheel to zoom and drag to move. A click on a picture below puts it on the'
    yield " right, with Shift on the left.</p>"
    for index, case in enumerate(comparison.crops):
        yield from _render_strip(comparison, case, index)


def _render_select(id: str, label: str, options: Sequence[tuple[str, str]], selected: str, *, hidden: bool = False) -> str:
    option_tags = "".join(
        f'<option value="{escape(value)}"{" selected" if value == selected else ""}>{escape(text)}</option>'
        for value, text in options
    )
    return f'<select id="{id}" aria-label="{label}"{" hidden" if hidden else ""}>{option_tags}</select>'


def _render_strip(comparison: ModelComparison, compared_crop: ComparedCrop, index: int) -> Iterator[str]:
    maps, high = compute_drift_maps(compared_crop)
    shape = next((result.image.shape for result in compared_crop.results.values()), compared_crop.source.shape)
    display_size = _fit_size(shape[1], shape[0])
    scale = f"CIEDE2000 against the source: black is 0, pale yellow {high:g} and more; below 1 nobody sees it."
    yield f'<div class="strip" data-crop="{index}" data-scale="{scale}"{" hidden" if index else ""}>'
    source = to_pil_image(compared_crop.source)
    yield _render_thumb("source", "Source", _render_image(f"pic-{index}-source", "Source", source, shape, lossless=True))
    for number, one in enumerate(comparison.completed):
        image = to_pil_image(compared_crop.results[one.id].image)
        if image.size != display_size:
            image = image.resize(display_size, Image.Resampling.LANCZOS)
        yield _render_thumb(str(number), one.title, _render_image(f"pic-{index}-{number}", one.title, image, shape))
    yield "</div><div hidden>"
    for number, one in enumerate(comparison.completed):
        label = f"CIEDE2000 of {one.title}, black 0 to pale yellow {high:g}"
        yield _render_image(f"map-{index}-{number}", label, to_pil_image(maps[one.id]), shape)
    yield "</div>"


def _fit_size(width: int, height: int) -> tuple[int, int]:
    ratio = min(MAX_SIDE / max(width, height), 1.0)
    return max(round(width * ratio), 1), max(round(height * ratio), 1)


def _render_thumb(name: str, title: str, image: str) -> str:
    return f'<button type="button" class="thumb" data-name="{name}">{image}<span>{escape(title)}</span></button>'


def _render_image(id: str, label: str, image: Image.Image, shape: Sequence[int], *, lossless: bool = False) -> str:
    """``shape`` (h, w, ...) is the size at which the viewer shows it, whatever the size of its file."""
    width, height = _fit_size(shape[1], shape[0])
    file = io.BytesIO()
    image.save(file, "WEBP", quality=WEBP_QUALITY, lossless=lossless, method=4)
    data = base64.b64encode(file.getvalue()).decode()
    size = f'data-width="{width}" data-height="{height}"'
    return f'<img id="{id}" alt="{escape(label)}" {size} src="data:image/webp;base64,{data}">'


def _render_scores(comparison: ModelComparison, rows: Sequence[ModelSummary]) -> Iterator[str]:
    title, columns = "Scores of other libraries", select_filled_columns(SCORE_COLUMNS, rows)
    if columns:
        yield from _render_table(title, columns, rows, ())
    elif comparison.missing_scores:
        yield f"<h2>{title}</h2>"
    yield from (f'<p class="note">{escape(line)}</p>' for line in comparison.missing_scores)


def _render_table(
    title: str, columns: Sequence[Column], rows: Sequence[ModelSummary], unable: Sequence[ComparedModel]
) -> Iterator[str]:
    yield f'<h2>{title}</h2><div class="scroll"><table><thead><tr><th><button type="button">Model</button></th>'
    yield from (
        f'<th title="{escape(column.meaning)}"><button type="button">{column.title}<small>{column.unit}</small></button></th>'
        for column in columns
    )
    yield "</tr></thead><tbody>"
    for row in rows:
        kind = ' class="base"' if row.model.baseline else ""
        name = escape(row.model.title)
        cells = "".join(_render_cell(column, row, rows) for column in columns)
        yield f'<tr{kind}><td data-value="{name}">{name}</td>{cells}</tr>'
    for one in unable:
        name = escape(one.title)
        yield f'<tr class="out"><td data-value="{name}">{name}</td><td colspan="{len(columns)}">{escape(one.problem)}</td></tr>'
    yield "</tbody></table></div><details><summary>What the numbers mean</summary><dl>"
    yield from (f"<dt>{column.title}</dt><dd>{escape(column.meaning)}</dd>" for column in columns)
    yield "</dl></details>"


def _render_cell(column: Column, row: ModelSummary, rows: Sequence[ModelSummary]) -> str:
    value, best = column.get_value(row), column.is_best(row, rows)
    kind, sorted_by = (' class="best"' if best else ""), ("" if value is None else value)
    return f'<td{kind} data-value="{sorted_by}">{column.format_value(row)}</td>'


def _render_findings(rows: Sequence[ModelSummary]) -> Iterator[str]:
    yield '<h2>In words</h2><div class="words">'
    for row in rows:
        sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in describe_findings(row, rows))
        yield f'<div class="card"><h3>{escape(row.model.title)}</h3><ul>{sentences}</ul></div>'
    yield "</div>"


def _render_footer(comparison: ModelComparison) -> Iterator[str]:
    largest = max((max(r.image.shape[:2]) for case in comparison.crops for r in case.results.values()), default=0)
    reduced = f" Pictures are shown at most {MAX_SIDE} pixels wide or high." if largest > MAX_SIDE else ""
    yield "<footer>Made by Upscale8K. Every number is measured on the crops shown, against the pixels that went in; "
    yield f"recommendations follow from them and from nothing else.{reduced}</footer>"
