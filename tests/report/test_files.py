"""The files of a report, read back by what reads such files."""

import base64
import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.metrics.scores import Scored
from upscale8k.runtime.report.comparison import Comparison
from upscale8k.runtime.report.files import NAMES, write_report
from upscale8k.runtime.report.markdown import analysis, escaped
from upscale8k.runtime.report.page import page
from upscale8k.runtime.report.record import record
from upscale8k.runtime.report.sheet import CARD_WIDTH, sheet

from .conftest import HOSTILE


class Read(HTMLParser):
    """Every tag with its attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside: dict[str, str] = {}
        self._open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open in ("script", "style") and self._open not in self.inside:
            self.inside[self._open] = data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def comparison(make: Callable[..., Comparison]) -> Comparison:
    return make("centre:48x40, texture:32x32")


def hostile(comparison: Comparison) -> Comparison:
    contenders = tuple(
        replace(one, title=f"{HOSTILE} {one.id}", problem=one.problem and HOSTILE) for one in comparison.contenders
    )
    cases = tuple(replace(case, crop=replace(case.crop, name=HOSTILE, note=HOSTILE)) for case in comparison.cases)
    return replace(comparison, source=HOSTILE, contenders=contenders, cases=cases, machine=HOSTILE, notes=(HOSTILE,))


def test_all_five_files_are_written_whole(comparison: Comparison, tmp_path: Path) -> None:
    paths = write_report(comparison, lambda name: tmp_path / name)
    assert [path.name for path in paths] == list(NAMES)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)
    assert all(path.stat().st_size > 1000 for path in paths)


def test_a_disk_that_refuses_is_named_and_leaves_nothing_half(comparison: Comparison, tmp_path: Path) -> None:
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OutputError, match=r"report\.html cannot be written"):
        write_report(comparison, lambda name: tmp_path / name)
    assert not list(tmp_path.glob("*.part"))


# The page.


def test_the_page_asks_the_network_for_nothing(comparison: Comparison) -> None:
    html = page(comparison)
    read = Read(html)
    (policy,) = [tag["content"] for tag in read.of("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    assert policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert all(
        (tag.get("src") or "data:").startswith("data:image/webp;base64,") or not tag.get("src") for tag in read.of("img")
    )
    assert not read.of("link")
    assert [tag for tag in read.of("script") if tag.get("src")] == []
    assert not re.search(r"https?://", html)


def test_the_policy_allows_exactly_the_script_and_the_style_of_the_page(comparison: Comparison) -> None:
    read = Read(page(comparison))
    (policy,) = [tag["content"] or "" for tag in read.of("meta") if tag.get("http-equiv")]
    for kind in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(read.inside[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_the_page_holds_every_picture_of_every_crop(comparison: Comparison) -> None:
    pictures = {tag["id"]: tag for tag in Read(page(comparison)).of("img") if tag.get("id")}
    for crop, case in enumerate(comparison.cases):
        for number, one in enumerate(comparison.able):
            stored = pictures[f"pic-{crop}-{number}"]
            data = base64.b64decode((stored["src"] or "").partition(",")[2])
            with Image.open(io.BytesIO(data)) as image:
                expected = case.results[one.id].picture
                assert image.size == (expected.shape[1], expected.shape[0])
                assert np.abs(np.asarray(image, np.float32) / 255 - expected).mean() < 0.03
            assert f"map-{crop}-{number}" in pictures


def test_a_picture_that_is_too_large_for_a_page_is_reduced(comparison: Comparison, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("upscale8k.runtime.report.page.LONGEST", 50)
    html = page(comparison)
    data = re.search(r'id="pic-0-0"[^>]*base64,([^"]+)', html)
    assert data
    with Image.open(io.BytesIO(base64.b64decode(data[1]))) as image:
        assert max(image.size) == 50
    assert "at most 50 pixels" in html


def test_hostile_names_are_shown_and_never_obeyed(comparison: Comparison) -> None:
    html = page(hostile(comparison))
    read = Read(html)
    assert HOSTILE in read.text
    assert "<img src=x" not in html
    assert len(read.of("script")) == 1
    assert not [tag for _, tag in read.tags if any(name.startswith("on") for name in tag)]


# The text.


def test_the_analysis_has_every_number_of_the_table_and_says_what_is_missing(comparison: Comparison) -> None:
    text = analysis(comparison)
    assert "| Gone | Its weights are not here. Get them with: models pull gone |" in text
    for heading in (
        "## Recommended",
        "## True to the source",
        "## Detail and artifacts",
        "## Cost",
        "## By crop",
        "## In words",
    ):
        assert heading in text
    for use in ("Animation", "Photography", "Restoration"):
        assert re.search(rf"\| {use}: .* \| \*\*(Red|Plain)\*\* \|", text)
    rows = [line for line in text.splitlines() if line.startswith("| Red |")]
    assert any("0.5" in line or "1.00" in line for line in rows)


def test_tables_keep_their_columns_whatever_a_name_holds(comparison: Comparison) -> None:
    text = analysis(hostile(comparison))
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(counts) == 1, table
    read = Read(MarkdownIt("commonmark").enable("table").render(text))
    assert HOSTILE in read.text
    allowed = "h1 h2 h3 p ul li table thead tbody tr th td strong blockquote"
    assert {tag for tag, _ in read.tags} <= set(allowed.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a|b", "a\\|b"),
        ("<b>", "\\<b\\>"),
        ("- x", "\\- x"),
        ("# x", "\\# x"),
        ("1. x", "1\\. x"),
        ("x4-plus (2)", "x4-plus (2)"),
        ("a\nb", "a b"),
    ],
)
def test_text_from_outside_is_shown_as_it_is(text: str, expected: str) -> None:
    assert escaped(text) == expected


# The record.


def test_the_record_is_strict_json_with_every_number(comparison: Comparison) -> None:
    content = json.loads(record(comparison), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert [one["id"] for one in content["contenders"]] == ["red", "plain", "gone", "bicubic", "lanczos"]
    assert content["contenders"][2]["summary"] is None
    assert [crop["region"]["width"] for crop in content["crops"]] == [48, 32]
    measured = comparison.cases[0].results["red"]
    stored = content["crops"][0]["results"]["red"]
    assert stored["drift"]["de2000"]["mean"] == measured.drift.de2000.mean
    assert stored["cost"]["seconds"] == 0.5
    assert {one["use"] for one in content["recommendations"]} == {"Animation", "Photography", "Restoration"}


# The sheet.


def test_the_sheet_shows_every_result_at_its_place(comparison: Comparison) -> None:
    """One tinted all over must be redder on the sheet, where its card is: fourth of a row of source, bicubic, Lanczos, red."""
    picture = np.asarray(sheet(comparison), np.float32)
    assert picture.shape[1] == 4 * CARD_WIDTH + 5 * 20
    cards = [picture[200:500, 20 + index * (CARD_WIDTH + 20) :][:, 20 : CARD_WIDTH - 20] for index in range(4)]
    redness = [float((card[..., 0] - card[..., 1]).mean()) for card in cards]
    assert max(redness[:3]) - min(redness[:3]) < 2
    assert redness[3] - redness[0] > 6


def test_names_in_any_script_can_be_drawn(comparison: Comparison) -> None:
    odd = replace(comparison, source="Ünïcödé 日本語 \x00\n" * 40, notes=())
    assert sheet(odd).size == sheet(comparison).size


@pytest.fixture(scope="session")
def scored(make: Callable[..., Comparison]) -> Comparison:
    """With a score that everybody has, one that only a model has, and one that nobody could have."""
    comparison = make()
    (case,) = comparison.cases
    missing = ("Not measured: LPIPS. <b>Weights</b> are not here.",)
    results = {
        name: replace(result, scores=Scored({"ssim": 0.9 if name == "red" else 0.8123}, missing))
        for name, result in case.results.items()
    }
    red = results["red"]
    results["red"] = replace(red, scores=Scored({**red.scores.values, "vmaf": 91.26}, missing))
    return replace(comparison, cases=(replace(case, results=results),))


def test_scores_of_other_libraries_are_a_table_of_their_own(scored: Comparison) -> None:
    words = analysis(scored)
    assert "| | SSIM (0..1) | VMAF (0..100) |" in words
    assert "| Red | **0.900** | 91.3 |" in words
    assert "| Plain | 0.812 | – |" in words
    assert "LPIPS (" not in words
    assert words.count("Not measured: LPIPS.") == 1
    html = page(scored)
    assert "<b>Weights" not in html
    assert "Scores of other libraries" in Read(html).text
    content = json.loads(record(scored))
    assert content["crops"][0]["results"]["red"]["scores"] == {"ssim": 0.9, "vmaf": 91.26}
    assert content["contenders"][0]["summary"]["scores"]["ssim"] == pytest.approx(0.9)
    assert content["notes"][-1].startswith("Not measured: LPIPS")


def test_without_scores_nothing_speaks_of_them(make: Callable[..., Comparison]) -> None:
    assert "Scores" not in analysis(make())
    assert "Scores" not in Read(page(make())).text
