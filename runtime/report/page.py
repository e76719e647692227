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

from .comparison import Case, Comparison, Contender
from .drawing import as_image
from .findings import advice, findings
from .maps import drift_maps
from .summary import COLUMNS, SCORE_COLUMNS, Column, Summary, shown, summaries

Floats = NDArray[np.float32]

LONGEST = 2048
"""Pixels of a side of the pictures in the page; larger ones are reduced, and the page says so."""
QUALITY = 90
_HERE = Path(__file__).parent
_ZOOMS = ((0, "Fit"), (1, "1:1"), (2, "2:1"), (4, "4:1"))


def page(comparison: Comparison) -> str:
    """The whole HTML document."""
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    title = f"Upscale comparison: {comparison.source}" if comparison.source else "Upscale comparison"
    policy = f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; script-src '{_hash(script)}'; base-uri 'none'"
    rows = summaries(comparison)
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>",
            *_header(comparison),
            "<main>",
            *_recommended(rows),
            *_viewer(comparison),
            *_table("Numbers", shown(COLUMNS, rows), rows, comparison.unable),
            *_scores(comparison, rows),
            *_words(rows),
            "</main>",
            *_footer(comparison),
            f"<script>{script}</script>\n</body>\n</html>\n",
        ]
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _header(comparison: Comparison) -> Iterator[str]:
    yield f"<header><h1>{escape(comparison.source) or 'Upscale comparison'}</h1>"
    count = sum(not one.baseline for one in comparison.able)
    models = "One model" if count == 1 else f"{count} models"
    yield f'<p class="muted">{models} and two base lines, {comparison.size} to {escape(comparison.target)}. '
    yield f"{escape(comparison.date)}, {escape(comparison.machine)}</p>"
    yield from (f'<p class="note">{escape(note)}</p>' for note in comparison.remarks)
    yield "</header>"


def _recommended(rows: Sequence[Summary]) -> Iterator[str]:
    yield '<h2>Recommended</h2><div class="cards">'
    for one in advice(rows):
        pick = one.best.contender.title if one.best else "None"
        yield f'<div class="card"><div class="use">{one.use.name}: {one.use.wants}</div>'
        yield f'<div class="pick">{escape(pick)}</div><p class="why">{escape(one.why)}</p></div>'
    yield "</div>"


def _viewer(comparison: Comparison) -> Iterator[str]:
    if not comparison.able:
        return
    yield '<h2>Side by side</h2><div class="bar">'
    crops = [(str(index), case.crop.name) for index, case in enumerate(comparison.cases)]
    names = [("source", "Source"), *((str(index), one.title) for index, one in enumerate(comparison.able))]
    firsts = [index for index, one in enumerate(comparison.able) if one.baseline]
    bests = [index for index, one in enumerate(comparison.able) if not one.baseline]
    yield _choice("left", "Left", names, str(firsts[0]) if firsts else "source")
    yield '<button type="button" id="swap" aria-label="Swap left and right">⇄</button>'
    yield _choice("right", "Right", names, str(bests[0]) if bests else names[-1][0])
    yield _choice("crop", "Crop", crops, "0", hidden=len(crops) == 1)
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
    for index, case in enumerate(comparison.cases):
        yield from _strip(comparison, case, index)


def _choice(id: str, label: str, options: Sequence[tuple[str, str]], chosen: str, *, hidden: bool = False) -> str:
    inside = "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in options
    )
    return f'<select id="{id}" aria-label="{label}"{" hidden" if hidden else ""}>{inside}</select>'


def _strip(comparison: Comparison, case: Case, index: int) -> Iterator[str]:
    maps, high = drift_maps(case)
    shape = next((result.picture.shape for result in case.results.values()), case.source.shape)
    shown = _shown(shape[1], shape[0])
    scale = f"CIEDE2000 against the source: black is 0, pale yellow {high:g} and more; below 1 nobody sees it."
    yield f'<div class="strip" data-crop="{index}" data-scale="{scale}"{" hidden" if index else ""}>'
    source = as_image(case.source)
    yield _thumb("source", "Source", _img(f"pic-{index}-source", "Source", source, shape, lossless=True))
    for number, one in enumerate(comparison.able):
        picture = as_image(case.results[one.id].picture)
        if picture.size != shown:
            picture = picture.resize(shown, Image.Resampling.LANCZOS)
        yield _thumb(str(number), one.title, _img(f"pic-{index}-{number}", one.title, picture, shape))
    yield "</div><div hidden>"
    for number, one in enumerate(comparison.able):
        label = f"CIEDE2000 of {one.title}, black 0 to pale yellow {high:g}"
        yield _img(f"map-{index}-{number}", label, as_image(maps[one.id]), shape)
    yield "</div>"


def _shown(width: int, height: int) -> tuple[int, int]:
    ratio = min(LONGEST / max(width, height), 1.0)
    return max(round(width * ratio), 1), max(round(height * ratio), 1)


def _thumb(name: str, title: str, image: str) -> str:
    return f'<button type="button" class="thumb" data-name="{name}">{image}<span>{escape(title)}</span></button>'


def _img(id: str, label: str, picture: Image.Image, shape: Sequence[int], *, lossless: bool = False) -> str:
    """``shape`` (h, w, ...) is the size at which the viewer shows it, whatever the size of its file."""
    width, height = _shown(shape[1], shape[0])
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=QUALITY, lossless=lossless, method=4)
    data = base64.b64encode(file.getvalue()).decode()
    size = f'data-width="{width}" data-height="{height}"'
    return f'<img id="{id}" alt="{escape(label)}" {size} src="data:image/webp;base64,{data}">'


def _scores(comparison: Comparison, rows: Sequence[Summary]) -> Iterator[str]:
    title, columns = "Scores of other libraries", shown(SCORE_COLUMNS, rows)
    if columns:
        yield from _table(title, columns, rows, ())
    elif comparison.missing_scores:
        yield f"<h2>{title}</h2>"
    yield from (f'<p class="note">{escape(line)}</p>' for line in comparison.missing_scores)


def _table(title: str, columns: Sequence[Column], rows: Sequence[Summary], unable: Sequence[Contender]) -> Iterator[str]:
    yield f'<h2>{title}</h2><div class="scroll"><table><thead><tr><th><button type="button">Model</button></th>'
    yield from (
        f'<th title="{escape(column.meaning)}"><button type="button">{column.title}<small>{column.unit}</small></button></th>'
        for column in columns
    )
    yield "</tr></thead><tbody>"
    for row in rows:
        kind = ' class="base"' if row.contender.baseline else ""
        name = escape(row.contender.title)
        cells = "".join(_cell(column, row, rows) for column in columns)
        yield f'<tr{kind}><td data-value="{name}">{name}</td>{cells}</tr>'
    for one in unable:
        name = escape(one.title)
        yield f'<tr class="out"><td data-value="{name}">{name}</td><td colspan="{len(columns)}">{escape(one.problem)}</td></tr>'
    yield "</tbody></table></div><details><summary>What the numbers mean</summary><dl>"
    yield from (f"<dt>{column.title}</dt><dd>{escape(column.meaning)}</dd>" for column in columns)
    yield "</dl></details>"


def _cell(column: Column, row: Summary, rows: Sequence[Summary]) -> str:
    value, best = column.value(row), column.is_best(row, rows)
    kind, sorted_by = (' class="best"' if best else ""), ("" if value is None else value)
    return f'<td{kind} data-value="{sorted_by}">{column.text(row)}</td>'


def _words(rows: Sequence[Summary]) -> Iterator[str]:
    yield '<h2>In words</h2><div class="words">'
    for row in rows:
        sentences = "".join(f"<li>{escape(sentence)}</li>" for sentence in findings(row, rows))
        yield f'<div class="card"><h3>{escape(row.contender.title)}</h3><ul>{sentences}</ul></div>'
    yield "</div>"


def _footer(comparison: Comparison) -> Iterator[str]:
    largest = max((max(r.picture.shape[:2]) for case in comparison.cases for r in case.results.values()), default=0)
    reduced = f" Pictures are shown at most {LONGEST} pixels wide or high." if largest > LONGEST else ""
    yield "<footer>Made by Upscale8K. Every number is measured on the crops shown, against the pixels that went in; "
    yield f"recommendations follow from them and from nothing else.{reduced}</footer>"
