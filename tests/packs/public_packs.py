"""Which public packs the tests run, and where they lie. Nothing is downloaded here: ``python tests/packs/obtain.py`` does that.

Their licences differ, some are GPL-3: they are test peers, and no part of them is shipped.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

CACHED = Path(__file__).resolve().parents[2] / ".cache" / "packs"
OBTAIN = "python tests/packs/obtain.py"


@dataclass(frozen=True)
class Release:
    """A pack that a package index carries: ``requirement`` as pip reads it, and the SHA-256 of its wheel."""

    name: str
    requirement: str
    sha256: str


@dataclass(frozen=True)
class Commit:
    """A pack in a GitHub repository: a commit, and the id that git gives the tree of its files."""

    name: str
    owner: str
    commit: str
    tree: str

    @property
    def archive(self) -> str:
        return f"https://github.com/{self.owner}/{self.name}/archive/{self.commit}.tar.gz"


RELEASES = (
    Release(
        "comfyui_tooling_nodes",
        "comfyui-tooling-nodes==0.1.0",
        "a67723c739a75f167c1c6ec02e6179f70a023afab4ec96b1165018bc011a4e7a",
    ),
    Release(
        "ComfyUI_Ib_CustomNodes",
        "comfyui-ib-customnodes==0.2.3",
        "b07597426ec895d98a8e4a5865857b69d6c64238da989431125e921ff564e8a9",
    ),
)
COMMITS = (
    Commit(
        "ComfyUI_essentials",
        "cubiq",
        "33ff89fd354d8ec3ab6affb605a79a931b445d99",
        "ea59dc2facb6629ec0bc9812a54fc87b4a92dbc1",
    ),
    Commit(
        "ComfyUI-KJNodes",
        "kijai",
        "3f20054214fec9f9234fd3841ae6f1e4287948f6",
        "49301b385f93baacf7dc7b051deea59a3f376180",
    ),
    Commit(
        "ComfyUI-post-processing-nodes",
        "EllangoK",
        "c49a05254795403648f2c1774b6f5ea39f96e7d5",
        "f045766c58049ffec09089fe2f77732d3f998165",
    ),
    Commit(
        "masquerade-nodes-comfyui",
        "BadCafeCode",
        "432cb4d146a391b387a0cd25ace824328b5b61cf",
        "96ca14d643e08b69f953eca39fd4b6779bed03de",
    ),
)


def place(name: str) -> Path:
    """The pack's folder: inside the one that UPSCALE8K_PACKS names, or where ``obtain.py`` puts it."""
    return Path(os.environ.get("UPSCALE8K_PACKS") or CACHED) / name


def git_tree(folder: Path) -> str:
    """The id that git gives a folder's files: SHA-1 of names, modes and contents. Empty folders do not count."""
    lines: list[tuple[str, bytes]] = []
    for path in folder.iterdir():
        if path.is_symlink():
            mode, digest = b"120000", _object(b"blob", str(path.readlink()).encode())
        elif path.is_dir():
            if not any(inside.is_file() for inside in path.rglob("*")):
                continue
            mode, digest = b"40000", bytes.fromhex(git_tree(path))
        else:
            mode, digest = b"100755" if os.access(path, os.X_OK) else b"100644", _object(b"blob", path.read_bytes())
        ordered = f"{path.name}/" if mode == b"40000" else path.name
        lines.append((ordered, mode + b" " + path.name.encode() + b"\0" + digest))
    lines.sort(key=lambda line: line[0].encode())
    return _object(b"tree", b"".join(content for _, content in lines)).hex()


def _object(kind: bytes, content: bytes) -> bytes:
    return hashlib.sha1(kind + b" %d\0" % len(content) + content, usedforsecurity=False).digest()
