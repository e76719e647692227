"""The protocol of items, tries and commits without a video: workers are threads or processes that write small files."""

import os
import random
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path

import pytest
from upscale8k.runtime.distributed.driver import cut_items
from upscale8k.runtime.distributed.order import Item
from upscale8k.runtime.distributed.segment_collector import SegmentCollector
from upscale8k.runtime.distributed.tries import Beat, TryName, WorkFolder
from upscale8k.runtime.errors import NodeError
from upscale8k.runtime.media import FrameTimesUnknown
from upscale8k.runtime.video import Gap, JournalState, Segment, SegmentFolder

FRAMES = 2
"""In each segment; an item is one segment."""


def make_segment(folder: SegmentFolder, number: int, text: str = "") -> Segment:
    """What a worker hands in for an item; equal items have equal bytes."""
    content = (text or f"segment {number}").encode()
    path = folder.folder / f"{number:06}.mp4"
    path.write_bytes(content)
    times = tuple(range(number * FRAMES, (number + 1) * FRAMES))
    return Segment(path.name, number * FRAMES, times, 1, 0, len(content), sha256(content).hexdigest())


class Job:
    """A target, its work folder, and what the collector reports."""

    def __init__(self, folder: Path, count: int, timeout: float = 60.0) -> None:
        self.target = SegmentFolder(folder / "o.mp4")
        self.target.folder.mkdir(parents=True)
        self.target.write_state(JournalState({}))
        self.work = WorkFolder(self.target, "1")
        self.work.create()
        self.committed: list[int] = []
        self.messages: list[str] = []
        self.collector = SegmentCollector(
            self.work,
            self.target,
            [Item(number, number * FRAMES, FRAMES, None) for number in range(count)],
            timeout,
            lambda _: None,
            lambda segment: self.committed.append(segment.first // FRAMES),
            self.messages.append,
        )

    def finish(self, name: TryName, folder: SegmentFolder, text: str = "") -> None:
        folder.append_segment(make_segment(folder, name.item, text))
        folder.mark_complete(FRAMES)

    def collect(self, patience: float = 100.0) -> None:
        end = time.monotonic() + patience
        while not self.collector.is_done:
            assert time.monotonic() < end, sorted(self.collector._left)[:9]
            self.collector.poll()
            time.sleep(0.1)


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr("upscale8k.runtime.distributed.tries._PAUSE_SECONDS", 0.05)
    monkeypatch.setattr("upscale8k.runtime.distributed.tries._POLL_SECONDS", 0.01)


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.full)])
def test_items_with_slow_and_failing_workers_are_committed_once_each(tmp_path: Path, count: int) -> None:
    job = Job(tmp_path, count)
    made: list[int] = []

    def work(name: str, failure_rate: float, slow: float) -> None:
        chance = random.Random(name)
        for try_name, folder in job.work.take_items(range(count), name):
            time.sleep(slow)
            if chance.random() < failure_rate and try_name.number == 1:
                job.work.fail_try(try_name, "an accident")
            else:
                job.finish(try_name, folder)
                made.append(try_name.item)

    workers = [("fast", 0.0, 0.0), ("also fast", 0.0, 0.0), ("unsteady", 0.1, 0.0), ("slow", 0.0, 0.01), ("both", 0.3, 0.005)]
    threads = [threading.Thread(target=work, args=worker, daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    job.collect(800)
    job.target.remove_order()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    assert sorted(job.committed) == list(range(count))
    assert sorted(made) == list(range(count))
    state = job.target.read_state()
    assert state is not None
    assert [segment.first for segment in state.segments] == [number * FRAMES for number in range(count)]
    failures = [text for text in job.messages if "an accident" in text]
    assert len(failures) == len(set(failures)) > 0
    assert sorted(path.name for path in job.target.folder.iterdir()) == [
        *(f"{n:06}.mp4" for n in range(count)),
        "journal.jsonl",
    ]


def test_a_second_result_is_compared_and_dropped(tmp_path: Path) -> None:
    job = Job(tmp_path, 3)
    tries = [(TryName(item, 1), job.work.begin_try(TryName(item, 1), "first")) for item in range(3)]
    for (name, _), text in zip(tries[:2], ("", "other bytes"), strict=True):
        job.work.fail_try(name, "it seemed lost")
        second = job.work.begin_try(TryName(name.item, 2), "second")
        assert second is not None
        job.finish(TryName(name.item, 2), second)
        job.collector.poll()
        late = tries[name.item][1]  # the frozen worker wakes up
        assert late is not None
        job.finish(name, late, text)
        job.collector.poll()
    assert job.committed == [0, 1]
    different = [text for text in job.messages if "other bytes" in text]
    assert len(different) == 1
    assert "first made other bytes of segment 000001.mp4 than second, whose are kept" in different[0]
    assert (job.target.folder / "000001.mp4").read_text() == "segment 1"


def test_only_one_worker_gets_a_try(tmp_path: Path) -> None:
    job = Job(tmp_path, 1)
    assert job.work.begin_try(TryName(0, 1), "a") is not None
    assert job.work.begin_try(TryName(0, 1), "b") is None


def test_a_worker_of_an_earlier_order_begins_nothing_of_the_next(tmp_path: Path) -> None:
    job = Job(tmp_path, 3)
    items = job.work.take_items(range(3), "of the first order")
    assert str(next(items)[0]) == "000000.1"
    job.target.remove_order()
    again = WorkFolder(job.target, "2")
    again.create()
    assert list(items) == []
    assert again.list_tries() == ([], [])


def test_an_item_that_fails_three_times_is_named(tmp_path: Path) -> None:
    job = Job(tmp_path, 5)
    for number in (1, 2, 3):
        assert job.work.begin_try(TryName(4, number), "w")
        job.work.fail_try(TryName(4, number), "w: the disk is full.")
        if number < 3:
            job.collector.poll()
    with pytest.raises(NodeError, match=r"The work on frames 8 to 9 failed 3 times: w: the disk is full\."):
        job.collector.poll()


def test_a_worker_without_a_sign_of_life_loses_its_item(tmp_path: Path) -> None:
    job = Job(tmp_path, 1, timeout=0.5)
    folder = job.work.begin_try(TryName(0, 1), "frozen")
    beats = 0
    while beats < 5:  # it lives longer than the limit
        beats += 1
        job.work.write_beat(TryName(0, 1), Beat("frozen", count=beats))
        job.collector.poll()
        time.sleep(0.2)
    assert job.work.list_tries()[1] == []
    end = time.monotonic() + 60
    while not job.work.list_tries()[1]:
        assert time.monotonic() < end
        job.collector.poll()
        time.sleep(0.01)
    assert job.work.read_failure(TryName(0, 1)) == "frozen gave no sign of life for 0.5 seconds."
    (name, second), *_ = [next(iter(job.work.take_items([0], "other")))]
    assert str(name) == "000000.2"
    job.finish(name, second)
    job.collect()
    assert folder is not None
    assert job.committed == [0]


def test_the_item_of_a_worker_that_ended_is_given_away_at_once(tmp_path: Path) -> None:
    job = Job(tmp_path, 2)
    job.work.begin_try(TryName(0, 1), "worker 1")
    job.work.begin_try(TryName(1, 1), "worker 2")
    job.collector.poll()
    job.collector.release(["worker 1"])
    assert job.work.list_tries()[1] == [TryName(0, 1)]


def test_a_segment_that_a_slow_folder_does_not_show_yet_is_waited_for(tmp_path: Path) -> None:
    job = Job(tmp_path, 1)
    folder = job.work.begin_try(TryName(0, 1), "w")
    assert folder is not None
    job.finish(TryName(0, 1), folder)
    (folder.folder / "000000.mp4").rename(folder.folder / "later")
    job.collector.poll()
    assert not job.collector.is_done
    (folder.folder / "later").rename(folder.folder / "000000.mp4")
    job.collector.poll()
    assert job.collector.is_done
    assert job.committed == [0]


MEMORY = """
import os, sys
from itertools import pairwise
sys.path[:0] = [{root!r}, {tests!r}]
from runtime.bootstrap import load_pack; load_pack()
from pathlib import Path
from distributed.test_simulated_items import Job, TryName
import psutil
os.fsync = lambda _: None
job = Job(Path({folder!r}), 1000)
sizes = []
for item in range(1000):
    folder = job.work.begin_try(TryName(item, 1), "w")
    job.finish(TryName(item, 1), folder)
    job.collector.poll()
    if item % 100 == 99:
        sizes.append(psutil.Process().memory_info().rss)
assert job.collector.is_done
print(sorted(after - before for before, after in pairwise(sizes))[4])
"""


def test_the_memory_of_the_driver_is_flat_over_1000_segments(tmp_path: Path, root: Path) -> None:
    script = MEMORY.format(root=str(root), tests=str(root / "tests"), folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 256 << 10  # for each hundred, their names; the table of all strings may grow once meanwhile


def test_items_are_runs_of_whole_segments_and_cover_every_gap() -> None:
    pts = [40 * number for number in range(1005)]
    gaps = [Gap(0, 0, 100, None), Gap(20, 200, None, None)]
    items = cut_items(gaps, 1005, 10, 2, pts)
    assert items[0] == Item(0, 0, 50, None)
    assert items[1] == Item(5, 50, 50, (40 * 49, 40 * 50))
    assert items[2] == Item(20, 200, 50, (40 * 199, 40 * 200))
    assert items[-1] == Item(100, 1000, None, (40 * 999, 40 * 1000))
    covered = [n for item in items for n in range(item.first, 1005 if item.count is None else item.first + item.count)]
    assert covered == [*range(100), *range(200, 1005)]
    assert all(item.count is None or item.count % 10 == 0 for item in items)


def test_a_gap_beyond_the_last_frame_is_not_shared_out() -> None:
    with pytest.raises(FrameTimesUnknown):
        cut_items([Gap(3, 30, None, None)], 30, 10, 2, list(range(30)))
