"""Limits of containers, in the layouts that Docker, Kubernetes and systemd leave behind."""

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from upscale8k.runtime.hardware.capacity import CgroupLimits, query_memory, read_cgroup_limits
from upscale8k.runtime.hardware.cpu import query_cpu

Groups = Callable[[dict[str, str]], tuple[Path, Path]]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(  # docker run --cpus 1.5 -m 2g, cgroup v2: the group is mounted as the root
            {
                "self": "0::/\n",
                "cpu.max": "150000 100000\n",
                "memory.max": "2147483648\n",
                "memory.high": "max\n",
                "memory.current": "1000000000\n",
                "memory.stat": "anon 700000000\nfile 300000000\ninactive_file 200000000\nactive_file 100000000\n",
            },
            CgroupLimits(1.5, 2147483648, 2147483648 - 800_000_000),
            id="docker, v2",
        ),
        pytest.param(
            {"self": "0::/\n", "cpu.max": "max 100000\n", "memory.max": "max\n", "memory.current": "5\n"},
            CgroupLimits(),
            id="no limit, v2",
        ),
        pytest.param(  # a limit higher up counts as well
            {
                "self": "0::/user.slice/app.scope\n",
                "user.slice/cpu.max": "400000 100000\n",
                "user.slice/app.scope/cpu.max": "max 100000\n",
                "user.slice/memory.max": "8000000000\n",
                "user.slice/memory.current": "6000000000\n",
                "user.slice/app.scope/memory.high": "9000000000\n",
                "user.slice/app.scope/memory.current": "1000000000\n",
            },
            CgroupLimits(4.0, 8_000_000_000, 2_000_000_000),
            id="systemd slice, v2",
        ),
        pytest.param(  # docker on v1: /proc names a path that the container does not see
            {
                "self": "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n0::/docker/abc\n",
                "cpu/cpu.cfs_quota_us": "200000\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "memory/memory.limit_in_bytes": "4294967296\n",
                "memory/memory.usage_in_bytes": "3000000000\n",
                "memory/memory.stat": "cache 2000000000\ntotal_inactive_file 1500000000\n",
            },
            CgroupLimits(2.0, 4294967296, 4294967296 - 1_500_000_000),
            id="docker, v1",
        ),
        pytest.param(
            {
                "self": "5:memory:/\n4:cpu,cpuacct:/\n",
                "cpu/cpu.cfs_quota_us": "-1\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "memory/memory.limit_in_bytes": "9223372036854771712\n",
                "memory/memory.usage_in_bytes": "3000000000\n",
            },
            CgroupLimits(),
            id="no limit, v1",
        ),
        pytest.param(
            {"self": "nonsense\n\n0::/../..\n", "cpu.max": "\n", "memory.max": "lots\n"}, CgroupLimits(), id="damaged"
        ),
        pytest.param({}, CgroupLimits(), id="no control groups"),
        pytest.param(  # more is used than is allowed, in the moment before the kernel acts
            {"self": "0::/\n", "memory.max": "1000\n", "memory.current": "2000\n"},
            CgroupLimits(None, 1000, 0),
            id="nothing left",
        ),
    ],
)
def test_limits_are_read(files: dict[str, str], expected: CgroupLimits, groups: Groups) -> None:
    assert read_cgroup_limits(*groups(files)) == expected


def test_memory_is_the_containers() -> None:
    machine = psutil.virtual_memory()
    found = query_memory(CgroupLimits(memory=500_000_000, memory_free=100_000_000))
    assert (found.total, found.available, found.limited) == (500_000_000, 100_000_000, True)
    free = query_memory(CgroupLimits())
    assert (free.total, free.limited) == (machine.total, False)
    generous = query_memory(CgroupLimits(memory=machine.total * 2, memory_free=machine.total * 2))
    assert (generous.total, generous.limited) == (machine.total, False)


def test_cores_are_the_containers() -> None:
    assert query_cpu(CgroupLimits(cores=0.5)).cores == 1
    assert query_cpu(CgroupLimits(cores=10_000.0)).cores == query_cpu(CgroupLimits()).cores
    assert query_cpu(CgroupLimits(cores=1.9)).quota == 1.9
