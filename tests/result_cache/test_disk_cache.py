"""Runs that share a folder: what is called again, what is not, and that damage of any kind costs only time."""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from upscale8k.runtime.atomic_write import temp_path
from upscale8k.runtime.errors import OutputError
from upscale8k.runtime.graph.execute.events import NodeCached, NodeEvent, NodeFinished, NodeStarted
from upscale8k.runtime.graph.execute.executor import dry_run, execute_plan
from upscale8k.runtime.graph.execute.plan import make_plan
from upscale8k.runtime.result_cache.disk_cache import DiskCache

GIGABYTE = 10**9


def node(function: Callable[..., Any], returns: tuple[str, ...] = ("IMAGE",), names: str = "", **attributes: Any) -> type:
    declared = {"required": dict.fromkeys(names.split(), ("*",))}
    body = {"FUNCTION": "run", "RETURN_TYPES": returns, "run": lambda self, **kwargs: function(**kwargs)}
    return type("Node", (), body | {"INPUT_TYPES": classmethod(lambda cls: declared)} | attributes)


class Place:
    """A cache folder, an output folder, and nodes: Make (a image), Twice, Load (a model), Use (image and model), Save."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.output = folder / "cache", folder / "output"
        self.output.mkdir()
        self.said: list[str] = []
        self.edition: dict[str, Any] = {}
        self.saved = 0
        self.catalog = {
            "Make": node(lambda value: (torch.full((1, 4, 4, 3), float(value)),), names="value"),
            "Twice": node(lambda image: (image * 2,), names="image"),
            "Load": node(lambda: (object(),), ("MODEL",)),
            "Use": node(lambda image, model: (image + 1,), names="image model"),
            "Save": node(self._save, (), "image", OUTPUT_NODE=True),
            "Look": node(lambda image: {"ui": {"text": [float(image.mean())]}}, (), "image", OUTPUT_NODE=True),
        }

    def _save(self, image: torch.Tensor) -> dict[str, Any]:
        self.saved += 1
        name = f"result_{self.saved}.txt"
        (self.output / name).write_text(str(image.mean().item()))
        return {"ui": {"images": [{"filename": name, "subfolder": "", "type": "output"}]}}

    def cache(self, limit: int = GIGABYTE) -> DiskCache:
        def version(cls: type, literals: Mapping[str, Any], changed: Any) -> Any:
            return [self.edition.get(name) for name, known in self.catalog.items() if known is cls]

        return DiskCache(
            self.folder,
            limit,
            output=self.output,
            compute_version=version,
            on_message=self.said.append,
        )

    def run(self, prompt: dict[str, Any], limit: int = GIGABYTE) -> list[NodeEvent]:
        return list(execute_plan(make_plan(prompt, self.catalog), self.catalog, cache=self.cache(limit)))

    def entries(self) -> list[Path]:
        return sorted((self.folder / "entries").glob("*/*"))

    def blobs(self) -> list[Path]:
        return sorted((self.folder / "blobs").glob("*/*"))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def chain(value: float = 1) -> dict[str, Any]:
    return {
        "1": {"class_type": "Make", "inputs": {"value": value}},
        "2": {"class_type": "Load", "inputs": {}},
        "3": {"class_type": "Use", "inputs": {"image": ["1", 0], "model": ["2", 0]}},
        "4": {"class_type": "Twice", "inputs": {"image": ["3", 0]}},
        "5": {"class_type": "Save", "inputs": {"image": ["4", 0]}},
    }


def called(events: list[NodeEvent]) -> list[str]:
    return [event.node_id for event in events if isinstance(event, NodeStarted)]


def shown(events: list[NodeEvent], node_id: str) -> Any:
    return next(event.ui for event in events if isinstance(event, NodeFinished | NodeCached) and event.node_id == node_id)


def test_a_second_run_calls_nothing_and_shows_the_same_files(place: Place) -> None:
    first = place.run(chain())
    assert called(first) == ["1", "2", "3", "4", "5"] or sorted(called(first)) == ["1", "2", "3", "4", "5"]
    again = place.run(chain())
    assert called(again) == []
    assert shown(again, "5") == shown(first, "5")
    assert (place.output / "result_1.txt").read_text() == "4.0"


def test_a_changed_value_calls_what_depends_on_it_and_a_model_only_where_it_is_needed(place: Place) -> None:
    place.run(chain())
    place.edition["Twice"] = "a newer one"
    assert called(place.run(chain())) == ["4", "5"]  # the model is not loaded: what it made is there
    assert sorted(called(place.run(chain(2)))) == ["1", "2", "3", "4", "5"]


def test_a_new_branch_gets_old_results_bit_for_bit(place: Place) -> None:
    place.run(chain(0.1))
    more = chain(0.1) | {"6": {"class_type": "Look", "inputs": {"image": ["3", 0]}}}
    events = place.run(more)
    assert called(events) == ["6"]
    assert shown(events, "6") == {"text": [float((torch.full((1, 4, 4, 3), 0.1) + 1).mean())]}


def test_an_output_that_names_no_file_runs_every_time(place: Place) -> None:
    prompt = chain() | {"6": {"class_type": "Look", "inputs": {"image": ["1", 0]}}}
    for _ in range(2):
        assert "6" in called(place.run(prompt))


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("other")], ids=["deleted", "changed"])
def test_an_output_whose_file_is_not_what_it_was_runs_again(place: Place, spoil: Callable[[Path], Any]) -> None:
    place.run(chain())
    spoil(place.output / "result_1.txt")
    again = place.run(chain())
    assert called(again) == ["5"]
    assert shown(again, "5")["images"][0]["filename"] == "result_2.txt"
    assert called(place.run(chain())) == []


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


DAMAGE = {
    "cut": cut,
    "flipped": flip,
    "empty": lambda path: path.write_bytes(b""),
    "foreign": lambda path: path.write_bytes(b"\x80\x04\x95hello"),
    "gone": Path.unlink,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("which", ["entries", "blobs"])
def test_damaged_files_are_not_used_and_replaced(place: Place, which: str, kind: str) -> None:
    place.run(chain())
    place.edition["Save"] = "a newer one"  # so that something has to be loaded
    for path in getattr(place, which)():
        DAMAGE[kind](path)
    again = place.run(chain())
    assert "5" in called(again)
    assert (place.output / shown(again, "5")["images"][0]["filename"]).read_text() == "4.0"
    if kind != "a folder":
        assert called(place.run(chain())) == []


def test_an_entry_from_elsewhere_cannot_name_files_outside_the_output_folder(place: Place) -> None:
    place.run(chain())
    import hashlib

    for path in place.entries():
        entry = json.loads(path.read_text())
        body = json.loads(entry["body"])
        for file in body["files"]:
            file["filename"] = "../../etc/passwd"
        content = json.dumps(body)
        path.write_text(json.dumps(entry | {"body": content, "sha256": hashlib.sha256(content.encode()).hexdigest()}))
    assert called(place.run(chain())) == ["5"]


def test_equal_images_of_several_nodes_are_one_file(place: Place) -> None:
    prompt = chain(0) | {
        "6": {"class_type": "Twice", "inputs": {"image": ["1", 0]}},
        "7": {"class_type": "Save", "inputs": {"image": ["6", 0]}},
    }
    place.run(prompt)  # zeros, twice zeros, ones, twice ones
    assert len(place.blobs()) == 3


def test_the_folder_stays_below_its_limit_and_the_oldest_go_first(place: Place) -> None:
    place.run(chain(1))
    for path in [*place.entries(), *place.blobs()]:
        os.utime(path, (1, 1))
    whole = sum(path.stat().st_size for path in [*place.entries(), *place.blobs()])
    place.run(chain(5), limit=whole)
    assert sum(path.stat().st_size for path in [*place.entries(), *place.blobs()]) <= whole
    assert called(place.run(chain(5), limit=whole)) == []
    assert called(place.run(chain(1), limit=whole)) != []


def test_what_is_larger_than_the_limit_is_not_kept_and_foreign_files_are_left_alone(place: Place) -> None:
    place.cache()
    mine = place.folder / "blobs" / "ab" / "holiday.safetensors"
    mine.parent.mkdir()
    mine.write_bytes(b"x" * 5000)
    place.run(chain(), limit=150)
    assert [path for path in place.blobs() if path != mine] == []
    assert mine.stat().st_size == 5000


def test_runs_may_share_a_folder_at_the_same_time(place: Place) -> None:
    failures: list[BaseException] = []

    def work(value: float) -> None:
        try:
            for _ in range(5):
                events = place.run(chain(value), limit=3000)
                name = shown(events, "5")["images"][0]["filename"]
                assert float((place.output / name).read_text()) == (value + 1) * 2
        except BaseException as error:
            failures.append(error)

    place.catalog["Save"] = node(lambda image: _saved_as(place.output, image), (), "image", OUTPUT_NODE=True)
    threads = [threading.Thread(target=work, args=(value,)) for value in (1, 1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(place.folder.rglob("*.part")) == []


def _saved_as(output: Path, image: torch.Tensor) -> dict[str, Any]:
    name = f"mean_{image.mean().item()}.txt"
    part = output / f"{name}.{threading.get_ident()}"
    part.write_text(str(image.mean().item()))
    part.replace(output / name)
    return {"ui": {"images": [{"filename": name, "subfolder": "", "type": "output"}]}}


def test_a_folder_that_cannot_be_one_is_refused_before_the_run(place: Place) -> None:
    place.folder.write_text("a file")
    with pytest.raises(OutputError, match="cannot be used"):
        place.cache()


def test_a_full_disk_costs_the_cache_and_not_the_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("upscale8k.runtime.result_cache.blobs.write_chunks_atomically", full)
    assert "5" in called(place.run(chain()))
    assert place.said == ["The cache cannot be written: No space left on device. The run continues without it."]


def test_what_an_aborted_run_left_half_written_goes_after_a_day(place: Place) -> None:
    place.run(chain())
    half = temp_path(place.blobs()[0])
    half.write_bytes(b"half")
    place.run(chain())
    assert half.exists()
    os.utime(half, (time.time() - 100_000,) * 2)
    place.run(chain())
    assert not half.exists()


def test_what_would_run_is_known_without_running(place: Place) -> None:
    def forecast(prompt: dict[str, Any]) -> tuple[set[str], set[str]]:
        calls, spared = dry_run(make_plan(prompt, place.catalog), place.catalog, place.cache())
        return set(calls), set(spared)

    assert forecast(chain()) == ({"1", "2", "3", "4", "5"}, set())
    assert place.saved == 0
    place.run(chain())
    assert forecast(chain()) == (set(), {"5"})
    place.edition["Twice"] = "a newer one"
    assert forecast(chain()) == ({"4", "5"}, {"3"})
