"""A lock has one holder, also in the moment in which the holder before removes its file."""

import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from upscale8k.runtime.file_lock import OutputLocked, exclusive_lock


def test_a_second_run_is_refused_with_the_name_and_the_file_is_removed(tmp_path: Path) -> None:
    lock = tmp_path / "folder" / "lock"
    with exclusive_lock(lock, "o.mkv"), pytest.raises(OutputLocked, match=r"writing o\.mkv"), exclusive_lock(lock, "o.mkv"):
        pytest.fail("two hold the lock")
    assert list(lock.parent.iterdir()) == []
    with exclusive_lock(lock, "o.mkv"):
        assert lock.exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows does not remove an open file, so the race does not exist there")
def test_a_lock_on_a_removed_file_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first holder ends between the second's opening of the file and its locking; a third makes the file anew."""
    lock = tmp_path / "lock"
    first = ExitStack()
    first.enter_context(exclusive_lock(lock, "o.mkv"))
    real_open, opened = os.open, []

    def open_while_the_first_ends(path: Any, *args: Any, **kwargs: Any) -> int:
        handle = real_open(path, *args, **kwargs)
        if str(path) == str(lock) and not opened:
            opened.append(handle)
            first.close()
        return handle

    monkeypatch.setattr(os, "open", open_while_the_first_ends)
    holders = 0
    with ExitStack() as both:
        for _ in range(2):
            try:
                both.enter_context(exclusive_lock(lock, "o.mkv"))
            except OutputLocked:
                continue
            holders += 1
    assert opened, "the race was not made"
    assert holders == 1
