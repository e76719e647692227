"""Memory is reused between layers, and given back afterwards."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from upscale8k.runtime.upscale import memory
from upscale8k.runtime.upscale.memory import reuse_freed_memory

SCRIPT = """
import resource, sys
sys.path.insert(0, sys.argv[1])
from runtime.bootstrap import load_pack
load_pack()
import torch
from upscale8k.runtime.upscale.memory import reuse_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()

def layers():
    before = faults()
    for _ in range(10):
        torch.ones(8_000_000)
    return faults() - before

outside = layers()
with reuse_freed_memory():
    inside = layers()
    held = resident()
print(outside, inside, held - resident())
"""


CODE_SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from runtime.bootstrap import load_pack
load_pack()
from torch.nn import Conv2d
from upscale8k.runtime.upscale.memory import return_code
from upscale8k.runtime.upscale.winograd.winograd_conv import WinogradConv

def resident():
    with open("/proc/self/smaps") as maps:
        found, size = False, 0
        for line in maps:
            if "-" in line.split()[0]:
                found = line.rstrip().endswith("libllvmlite.so") and " r-xp " in line
            elif found and line.startswith("Rss:"):
                size += int(line.split()[1])
    return size

WinogradConv(Conv2d(16, 16, 3, padding=1))
before = resident()
return_code("libllvmlite.so")
after = resident()
WinogradConv(Conv2d(32, 32, 3, padding=1))
print(before, after)
"""


@pytest.mark.skipif(sys.platform != "linux" or memory.platform.libc_ver()[0] != "glibc", reason="for glibc only")
def test_the_code_of_a_library_is_given_back_and_runs_again(root: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CODE_SCRIPT, str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    before, after = map(int, done.stdout.split())
    assert before > 20_000  # kB
    assert after == 0


@pytest.mark.skipif(sys.platform != "linux" or memory.platform.libc_ver()[0] != "glibc", reason="for glibc only")
def test_pages_are_mapped_once_and_given_back(root: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    outside, inside, given_back = map(int, done.stdout.split())
    assert outside > 20  # each of ten blocks of 32 MB is mapped anew, in huge pages at best
    assert inside < outside / 2
    assert given_back > 30_000_000


def test_without_proc_the_code_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.os, "access", lambda path, mode: False)
    monkeypatch.setattr(memory, "Path", lambda path: pytest.fail(f"{path} was read"))
    memory.return_code("libllvmlite.so")


def test_elsewhere_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: pytest.fail("the C library was touched"))
    with reuse_freed_memory():
        assert torch.ones(3).sum() == 3


def test_the_settings_go_back_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int]] = []

    class Library:
        def mallopt(self, which: int, value: int) -> None:
            calls.append((f"mallopt {which}", value))

        def malloc_trim(self, keep: int) -> None:
            calls.append(("trim", keep))

    monkeypatch.setattr(memory.sys, "platform", "linux")
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: ("glibc", "2.39"))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: Library())
    with pytest.raises(KeyError), reuse_freed_memory():
        raise KeyError
    assert [name for name, _ in calls] == ["mallopt -3", "mallopt -1", "mallopt -3", "mallopt -1", "trim"]
    assert calls[2][1] == 32 << 20  # glibc's own limit (DEFAULT_MMAP_THRESHOLD_MAX of malloc.c)
