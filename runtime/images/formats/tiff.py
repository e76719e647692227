"""The pages of a TIFF file (TIFF 6.0, BigTIFF; TIFF/EP and DNG for camera raw), before OpenImageIO reads one."""

import re
import struct
from collections.abc import Iterator
from io import SEEK_END, BufferedReader
from pathlib import Path

from ..image_file import ImageFormatError

WHITE_IS_ZERO, CMYK = 0, 5
"""Values of PhotometricInterpretation."""
_NEW_SUBFILE_TYPE, _SUBFILE_TYPE, _SUB_IFDS, _DNG_VERSION = 254, 255, 330, 50706
_XMP, _IPTC = 700, 33723
_OWN_PACKET = re.compile(rb'<rdf:Description rdf:about="" xmlns:xmp="[^"]*" xmp:CreateDate="[^"]*"/>\s*</rdf:RDF>')
"""What OpenImageIO writes into every TIFF: the time of writing and nothing else."""
_REDUCED, _MASK = 1, 4
_MAX_PAGES, _MAX_TAGS = 10_000, 65_535


def find_main_page(path: Path) -> tuple[int, int, bool]:
    """Return the index of the first page that is neither thumbnail nor mask, how many there are, and if it has XMP or IPTC.

    Raises:
        ImageFormatError: the file is camera raw: its pages are thumbnails of what a raw developer reads.
    """
    with path.open("rb") as file:
        head = file.read(10)
        pages = list(_iter_pages(file, "<" if head[:1] == b"I" else ">", is_big=b"+" in head[2:4]))
        has_texts = [_has_texts(file, page) for page in pages]
    full = [index for index, page in enumerate(pages) if not _get_kind(page) & (_REDUCED | _MASK)]
    is_raw = head[8:10] == b"CR" or any(_DNG_VERSION in page for page in pages)
    if is_raw or (pages and not full) or (full and full[0] and _SUB_IFDS in pages[0]):
        problem = "it is a camera raw file, and the image that it holds besides its raw data is a thumbnail"
        raise ImageFormatError(problem, "Develop it first and export a 16-bit TIFF.")
    return (full[0], len(full), has_texts[full[0]]) if full else (0, 1, False)


def _has_texts(file: BufferedReader, page: dict[int, int]) -> bool:
    """Return whether a page has IPTC records, or an XMP packet (XMP Specification Part 3) that says more than our own files."""
    if _XMP not in page:
        return _IPTC in page
    file.seek(page[_XMP])
    return _IPTC in page or not _OWN_PACKET.search(file.read(4096))


def _get_kind(page: dict[int, int]) -> int:
    """Return the bits of NewSubfileType; the older SubfileType says 2 for a thumbnail."""
    return page.get(_NEW_SUBFILE_TYPE, 0) or (_REDUCED if page.get(_SUBFILE_TYPE) == 2 else 0)


def _iter_pages(file: BufferedReader, order: str, *, is_big: bool) -> Iterator[dict[int, int]]:
    """Yield number and first value of each tag, as far as it is stored in its entry."""
    count_format, entry_format, offset_format = ("Q", "HHQ8s", "Q") if is_big else ("H", "HHL4s", "L")
    end = file.seek(0, SEEK_END)
    file.seek(8 if is_big else 4)
    seen: set[int] = set()
    while 0 < (offset := _unpack(file, order + offset_format)) < end and offset not in seen and len(seen) < _MAX_PAGES:
        seen.add(offset)
        file.seek(offset)
        entries = file.read(min(_unpack(file, order + count_format), _MAX_TAGS) * struct.calcsize(order + entry_format))
        if len(entries) % struct.calcsize(order + entry_format):
            return
        found = struct.iter_unpack(order + entry_format, entries)
        yield {tag: struct.unpack_from(order + ("H" if kind == 3 else "L"), value)[0] for tag, kind, _, value in found}


def _unpack(file: BufferedReader, number_format: str) -> int:
    data = file.read(struct.calcsize(number_format))
    return int(struct.unpack(number_format, data)[0]) if len(data) == struct.calcsize(number_format) else 0
