"""What the command line says of itself."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from upscale8k.runtime.cli import commands
from upscale8k.runtime.paths import WORKFLOWS_FOLDER

from .conftest import Place


def test_the_version_is_printed(place: Place) -> None:
    assert place("--version").out == "0.1.0\n"


def test_help_has_groups_and_examples_that_parse(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    shown = place("--help").out
    for fact in ("Images and videos", "Workflows", "This machine", "--version", "--install-completion"):
        assert fact in shown
    assert len(re.findall(r"^ python -m runtime (?:upscale|run|measure) ", shown, re.MULTILINE)) == 3
    shown = place("upscale", "--help").out
    for fact in ("The look", "Videos and image sequences", "Many files"):
        assert fact in shown
    for name, examples in commands._EXAMPLES.items():
        assert f"python -m runtime {examples[0]}" in " ".join(place(*filter(None, [name]), "--help").out.split())
        for example in examples:  # parsed up to what is not here
            answer = place(*shlex.split(example))
            assert "No such option" not in answer.err
            assert "Missing" not in answer.err


def test_options_of_other_programs_lead_to_ours(place: Place) -> None:
    answer = place("upscale", "in.png", "--scale", "2")
    assert answer.code == 2
    assert "Error: No such option: --scale (Possible options: --to 2x)" in answer.err


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed, and the test types in it")
def test_completion_is_a_script_of_the_shell(root: Path) -> None:
    """The shell is the one that the command was typed in, so the test types it in one."""
    command = [shutil.which("bash"), "-c", f"{shlex.quote(sys.executable)} -m runtime --show-completion; true"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=60)
    assert "COMPREPLY" in done.stdout, done.stderr


def test_the_manual_has_every_command_and_option(place: Place) -> None:
    page = place("--man-page").out
    assert page.startswith('.TH UPSCALE8K 1 "" "Upscale8K 0.1.0"\n.SH NAME\nupscale8k \\- 8K super')
    for name in typer.main.get_command(commands._typer).commands:  # type: ignore[attr-defined]
        assert f'.SS "upscale8k {name}"' in page
    assert '.SS "upscale8k models pull"' in page
    assert "\\fB\\-o, \\-\\-output\\fR" in page


def test_a_node_shows_its_inputs_and_outputs(place: Place) -> None:
    lines = place("nodes", "DiffMap").out.splitlines()
    assert "  kind                   absolute, signed, delta e, edges; default delta e" in lines
    assert "  gain                   FLOAT; default 0.0; min 0.0; max 255.0" in lines
    assert lines[-1] == "  -> map                 IMAGE"
    place.refuses(place("nodes", "DifMap"), "There is no node 'DifMap'. Use one of: DiffMap")
    place.refuses(place("nodes", "Qqq"), "There is no node 'Qqq'. All are listed by: ")


def test_the_examples_of_run_find_a_file_of_the_user(place: Place) -> None:
    """An example that cannot be typed as it stands, with one's own file, is worse than none."""
    place.image("photo.jpg")
    Path("input/photo.jpg").rename("photo.jpg")
    for line in commands._EXAMPLES[""]:
        if line.startswith("run "):
            answer = place(*line.split(), "--backend", "null", "--set", "TiledUpscale.target=2x", "--progress", "none")
            assert (answer.code, answer.new) == (0, ["output/Upscale8K/image_8k_00001_.png"]), answer.err
            return
    pytest.fail("no example of run")


def test_shipped_workflows_are_listed_and_run_by_name(place: Place) -> None:
    lines = place("workflows", "list").out.splitlines()
    assert "image_8k           An image to 8K" in lines
    assert {line.split()[0] for line in lines} == {path.stem for path in WORKFLOWS_FOLDER.glob("*.json")}
    answer = place("run", "image_8k", "--dry-run")
    assert (answer.code, answer.err) == (0, "")
    assert place("run", "workflows/image_8k.json", "--dry-run").out == answer.out
    place.refuses(place("run", "image_9k", "--dry-run"), "image_9k")
