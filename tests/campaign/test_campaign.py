"""The campaign of faults in short: kills, full disks, cut writes, signals, changed bytes, odd sound and parallel runs."""

import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).with_name("campaign.py")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks and sends signals")


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(CAMPAIGN), *arguments], capture_output=True, text=True, check=False, timeout=3600
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    return done.stdout


def test_the_campaign_in_short() -> None:
    said = run("--tries", "1", "--only", "kill,size,signals,flips,audio,parallel")
    assert said.splitlines()[-1].endswith(" tried, 0 wrong")
    assert int(said.splitlines()[-1].split()[1]) > 30


@pytest.mark.slow
@pytest.mark.full
@pytest.mark.timeout(3600)
def test_the_campaign_in_full() -> None:
    said = run("--tries", "200").splitlines()[-1]
    assert said.endswith(" tried, 0 wrong")
    assert int(said.split()[1]) > 4500
