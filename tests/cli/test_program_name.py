"""Hints name the command that the person has: the module in a checkout, ``upscale8k`` after an installation."""

import sys

import pytest
import torch
from PIL import Image

from .conftest import Place, Prompt


@pytest.mark.parametrize(
    ("started", "named"),
    [
        ("/checkout/runtime/__main__.py", "python -m runtime"),
        ("/usr/bin/upscale8k", "upscale8k"),
        ("upscale8k.exe", "upscale8k"),
    ],
)
def test_a_hint_says_what_can_be_typed(
    place: Place, prompt: Prompt, monkeypatch: pytest.MonkeyPatch, started: str, named: str
) -> None:
    monkeypatch.setattr(sys, "argv", [started])
    prompt["2"]["inputs"]["model"] = "bsrgan-x4"
    for answer in (place.run(prompt), place("check", "workflow.json", "--models-dir", "models")):
        assert f"Download them with: {named} models pull bsrgan-x4" in answer.err
    assert f"Usage: {named} " in place("run", "--nonsense").err
    Image.new("RGB", (8, 8)).save("grey.png")
    fast = place("upscale", "grey.png", "--fast", "--to", "2x", "--backend", "null", "--progress", "plain")
    assert f"{named} models pull realesr-general-x4v3" in fast.err


def test_a_name_from_outside_gives_the_terminal_no_orders(place: Place) -> None:
    answer = place("upscale", "a\x1b]0;mine\x07\x9b2J.png", "-o", "o.png")
    assert answer.code == 2
    assert "a\N{REPLACEMENT CHARACTER}]0;mine" in answer.err
    assert not set(answer.err) & {"\x1b", "\x07", "\x9b"}


def test_a_name_of_a_model_gives_the_terminal_no_orders(place: Place) -> None:
    (place.folder / "models" / "a\x1b]0;mine\x07.pth").write_bytes(b"x")
    shown = place("models", "list", "--models-dir", "models").out
    assert "a\N{REPLACEMENT CHARACTER}]0;mine\N{REPLACEMENT CHARACTER}.pth" in shown
    assert not set(place("models", "verify", "--models-dir", "models").out + shown) & {"\x1b", "\x07"}


def test_keys_of_weights_give_the_terminal_no_orders(place: Place, prompt: Prompt) -> None:
    torch.save({"\x1b]0;mine\x07": torch.zeros(1)}, place.folder / "models" / "keys.pth")
    prompt["2"]["inputs"]["model"] = "keys.pth"
    answer = place.run(prompt)
    assert answer.code != 0
    assert "]0;mine" in answer.err
    assert not set(answer.err + answer.out) & {"\x1b", "\x07"}
