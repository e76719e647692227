"""Ctrl-C and ``kill``: exit code 130, a word, and nothing half-written."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from upscale8k.runtime.cli import commands
from upscale8k.runtime.comfyui.types import image

from .conftest import NULL, Place, noise

Runtime = Callable[..., "subprocess.Popen[str]"]
PATIENCE = 120.0


def until_work_began(process: "subprocess.Popen[str]") -> None:
    """Read its JSON lines until a piece of the work is done and more is left."""
    assert process.stderr
    for line in process.stderr:
        event = json.loads(line)
        if event["event"] == "progress" and 0 < event["done"] < event["total"]:
            return
    pytest.fail(f"It ended with {process.wait()} before it could be stopped.")


def test_ctrl_c_between_two_tiles(place: Place, root: Path, runtime: Runtime) -> None:
    workflow = root / "workflows/image_8k.json"
    folders = [f"--{name}-dir={place.folder / name}" for name in ("input", "output", "models")]
    # A slow model: however late a busy machine delivers the signal, tiles are left.
    options = ("--device", "cpu", "--set", "UpscaleModel.model=realesrgan-x4plus", "--set", "TiledUpscale.tile=64")
    process = runtime("run", workflow, *folders, "--progress", "json", *options)
    until_work_began(process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == 'node 4 (TiledUpscale "Tiled Upscale"): Stopped.'
    assert "Traceback" not in err
    assert list((place.folder / "output").iterdir()) == []


def test_kill_while_a_file_is_being_written(place: Place, runtime: Runtime) -> None:
    """Noise, so that the encoder has work to do; the signal comes when the unfinished file is there."""
    place.image("large.png", noise(1500, 2000))
    inputs = {"images": ["1", 0], "filename": "result.webp", "quality": 100}
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "large.png"}},
        "2": {"class_type": "ImageOut", "inputs": inputs},
    }
    folders = [f"--{name}-dir={place.folder / name}" for name in ("input", "output", "models")]
    process = runtime("run", place.save(prompt), *folders)
    output = place.folder / "output"
    waited_until = time.monotonic() + PATIENCE
    while not list(output.glob("result_00001_.webp.*.part")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < waited_until
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert out == ""
    assert err.splitlines()[-1] == "node 2 (ImageOut): Stopped."
    assert list((place.folder / "output").iterdir()) == []


def test_kill_is_what_it_was_after_a_command(place: Place) -> None:
    """The command line may be called from another program."""
    before = signal.getsignal(signal.SIGTERM)
    place("nodes")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_reader_that_goes_away_is_no_traceback(runtime: Runtime) -> None:
    process = runtime("nodes", "--json")
    assert process.stdout and process.stderr
    process.stdout.read(1)
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait(timeout=PATIENCE)


def test_ctrl_c_while_python_takes_a_lock_is_a_stop(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """``Condition.wait`` then takes no lock, and releasing it is a RuntimeError; in a node, and before there is one."""

    def stop(*_: object, **__: object) -> None:
        condition = threading.Condition()
        with condition:
            condition.release()
            signal.raise_signal(signal.SIGINT)

    upscale = ("upscale", "input/a.png", "-o", "o.png", "--to", "2x", *NULL)
    monkeypatch.setattr(image, "_write_image", stop)
    answer = place(*upscale)
    assert (answer.code, answer.new) == (130, [])
    assert "Stopped." in answer.err
    assert "Traceback" not in answer.err
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a program that was stopped ends, and does not begin anew
    monkeypatch.setattr(commands, "run_command_line", stop)
    answer = place("doctor")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert (answer.code, answer.err) == (130, "Stopped.\n")
