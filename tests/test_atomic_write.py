"""A file has its name when it is whole, and what stood there stays until then."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from upscale8k.runtime.atomic_write import atomic_output, atomic_write, temp_path, write_atomically
from upscale8k.runtime.errors import MediaError, OutputError


def test_a_file_is_not_there_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "result.json"
    with atomic_write(path) as part:
        part.write_bytes(b"every byte")
        assert not path.exists()
        assert part.parent == path.parent
        assert part.name.startswith("result.json.")
        assert part.suffix == ".part"
    assert path.read_bytes() == b"every byte"
    assert [entry.name for entry in path.parent.iterdir()] == ["result.json"]


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt])
def test_whatever_goes_wrong_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(b"of yesterday")
    with pytest.raises(error), atomic_write(path) as part:
        part.write_bytes(b"half of it")
        raise error
    assert path.read_bytes() == b"of yesterday"
    assert list(tmp_path.iterdir()) == [path]


def test_a_body_that_writes_nothing_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_bytes(b"of yesterday")
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass
    assert path.read_bytes() == b"of yesterday"


@pytest.mark.parametrize(("synced", "calls"), [(True, ["part", "name", "folder"]), (False, ["name"])])
def test_bytes_reach_the_disk_before_they_have_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, synced: bool, calls: list[str]
) -> None:
    """The order that survives a power cut."""
    seen: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        seen.append("folder" if os.fstat(handle).st_mode & 0o040000 else "part")
        real_fsync(handle)

    def replace(self: Path, target: Path) -> Path:
        seen.append("name")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    with atomic_write(tmp_path / "result.json", durable=synced) as part:
        part.write_bytes(b"every byte")
    assert seen == [call for call in calls if call != "folder" or sys.platform != "win32"]


def test_two_writers_at_once_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    inside = threading.Barrier(2)

    def write(content: bytes) -> None:
        with atomic_write(path) as part:
            part.write_bytes(content)
            inside.wait(10)
            assert part.read_bytes() == content

    contents = [b"a" * 100_000, b"b" * 50_000]
    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_that_fails_takes_nothing_from_another(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with atomic_write(path) as part:
        part.write_bytes(b"every byte")
        with pytest.raises(RuntimeError), atomic_write(path) as other:
            other.write_bytes(b"half")
            raise RuntimeError
    assert path.read_bytes() == b"every byte"


def test_a_folder_that_was_removed_does_not_come_back(tmp_path: Path) -> None:
    """That of an order that is done with: its workers would go on in it for ever."""
    with pytest.raises(FileNotFoundError):
        write_atomically(tmp_path / "order.work" / "7.png", lambda temp: temp.write_bytes(b"late"))
    assert not list(tmp_path.iterdir())


def test_a_name_beside_is_drawn_anew_each_time(tmp_path: Path) -> None:
    assert len({temp_path(tmp_path / "result.json") for _ in range(100)}) == 100


def test_a_result_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    """Not those of a temporary file, which only its owner may read."""
    plain = tmp_path / "plain"
    plain.touch()
    with atomic_write(tmp_path / "result.json") as part:
        part.touch()
    assert (tmp_path / "result.json").stat().st_mode == plain.stat().st_mode


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    """The system itself says no: a process may not write more than its limit."""
    if sys.platform == "win32":
        pytest.skip("no limit to set")
    path = tmp_path / "result.json"
    path.write_bytes(b"of yesterday")
    script = (
        "import resource, signal, sys; from pathlib import Path; from runtime.atomic_write import atomic_output\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    with atomic_output(Path(sys.argv[1]), 'Choose another place.') as part: part.write_bytes(b'x' * 5000)\n"
        "except Exception as error: print(error)\n"
    )
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run([sys.executable, "-c", script, path], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == f"{path} cannot be written: the file is larger than allowed there. Choose another place.\n"
    assert path.read_bytes() == b"of yesterday"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    path = tmp_path / "file" / "result.json"
    refused = pytest.raises(OutputError, match=r"result\.json cannot be written: .* Choose another place\.")
    with refused as caught, atomic_output(path, "Choose another place."):
        pytest.fail("the body was entered")
    assert caught.value.path == path


def test_an_error_that_says_more_already_stays_what_it_is(tmp_path: Path) -> None:
    refused = pytest.raises(MediaError, match=r"The source is broken\.")
    with refused as caught, atomic_output(tmp_path / "result.json", "Choose another place."):
        raise MediaError("The source is broken.", "Get another.", path=tmp_path)
    assert type(caught.value) is MediaError
    assert list(tmp_path.iterdir()) == []
