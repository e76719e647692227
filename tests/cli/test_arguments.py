"""The surface: help, commands and options that are none, and values that no option takes."""

from pathlib import Path

import pytest

from .conftest import Place, Prompt

COMMANDS = ("run", "check", "convert", "nodes", "models", "upscale")


def test_without_arguments_it_shows_help_and_exits_with_2(place: Place) -> None:
    answer = place()
    assert answer.code == 2
    for command in COMMANDS:
        assert command in answer.out + answer.err


def test_help_is_no_error(place: Place) -> None:
    answer = place("--help")
    assert (answer.code, answer.err) == (0, "")
    assert all(command in answer.out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(place: Place, command: str) -> None:
    answer = place(command, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert "Usage:" in answer.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["upscaled"], "No such command 'upscaled'"),
        (["models", "get"], "No such command 'get'"),
        (["run"], "Missing argument"),
        (["run", "a.json", "b.json"], "unexpected extra argument"),
        (["run", "a.json", "--tile", "3"], "No such option: --tile"),
        (["run", "a.json", "--max-pixels", "many"], "Invalid value for '--max-pixels'"),
        (["run", "a.json", "--max-pixels", "0"], "Invalid value for '--max-pixels'"),
        (["compare", "a.png"], "Missing option '-o'"),
        (["upscale", "a.png", "-o", "b.png", "-b", "-1"], "Invalid value for '-b'"),
    ],
)
def test_arguments_that_are_wrong(place: Place, arguments: list[str], sentence: str) -> None:
    answer = place(*arguments)
    assert answer.code == 2
    assert sentence in answer.err
    assert "--help" in answer.err
    assert (answer.out, answer.new) == ("", [])


@pytest.mark.parametrize(
    ("option", "value", "facts"),
    [
        ("--backend", "cuda", ["no backend called 'cuda'", "auto, torch"]),
        ("--device", "gpu", ["'gpu' is not a device", "cuda:N"]),
        ("--device", "cuda:", ["'cuda:' is not a device", "cuda:N"]),
        ("--progress", "loud", ["Unknown --progress 'loud'", "plain, json, none"]),
    ],
)
def test_values_that_no_option_takes_are_refused_before_work_begins(
    place: Place, prompt: Prompt, option: str, value: str, facts: list[str]
) -> None:
    Path("input/a.png").write_text("work would begin with this, and fail")
    workflow = place.save(prompt)
    place.refuses(place("run", workflow, option, value), *facts)
    place.refuses(place("upscale", "input/a.png", "-o", "output/b.png", option, value), *facts)


def test_a_device_that_is_not_here(place: Place, prompt: Prompt) -> None:
    place.refuses(place.run(prompt, "--device", "cuda:77"), "The device cuda:77 was requested", "--device cpu")


def test_an_extra_model_paths_file_that_is_not_there(place: Place, prompt: Prompt) -> None:
    place.refuses(place.run(prompt, "--extra-model-paths", "gone.yaml"), "gone.yaml cannot be read")


def test_extra_model_paths_are_looked_in(place: Place, prompt: Prompt) -> None:
    Path("more").mkdir()
    Path("paths.yaml").write_text("a:\n  base_path: .\n  upscale_models: more\n")
    Path("more/mine.pth").write_bytes(b"")
    prompt["2"]["inputs"]["model"] = "mine.pth"
    place.refuses(place.run(prompt, "--extra-model-paths", "paths.yaml"), str(place.folder / "more/mine.pth"), "is empty")
