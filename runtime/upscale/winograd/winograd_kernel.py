"""Writes one convolution as LLVM code: input tiles are transformed, multiplied by the kernels, and transformed back.

24 tiles at a time, so that everything between the steps stays in a core's second-level cache. Features are (H, W, C) in memory,
and a vector holds channels of one pixel. A convolution may read two tensors one after the other, as a dense block does, or an
image of half the size; it may add its result to a tensor.
"""

from ctypes import Structure, c_int64
from dataclasses import dataclass

from .vector_code import FunctionCode, Plane, VectorCode
from .winograd_transforms import (
    FREQUENCIES,
    INPUT_SIDE,
    KERNEL_SIDE,
    OUTPUT_SIDE,
    write_input_transform,
    write_kernel_transform,
    write_output_transform,
)

PREPARE, CONVOLVE = "prepare", "convolve"
"""The functions: ``prepare`` transforms the kernels, before any thread calls ``convolve``. Threads share the work of both."""
TILES = 24
"""Computed at a time."""
_UNROLLED = _CHANNELS = 4
"""Channels in the body of the inner loop, and in the least part of the kernels that a thread transforms."""
_STAGGER = 32
"""Floats between one frequency's tiles and the next one's: without them their addresses share a few sets of the cache."""


@dataclass(frozen=True)
class Blocking:
    """What a processor keeps in registers while it multiplies: rows of tiles, each with ``vectors`` of ``width`` outputs."""

    width: int
    vectors: int
    rows: int

    @property
    def outputs(self) -> int:
        return self.width * self.vectors


@dataclass(frozen=True)
class KernelShape:
    """What is constant in the code: channels, each a multiple of 16, and what is done besides."""

    channels: int
    more_channels: int
    """Of the second tensor; 0 without one."""
    outputs: int
    doubles: bool
    """Whether the input is enlarged twice, by repeating pixels, before it is convolved."""
    addends: int
    """Tensors that a share of the result is added to: at most two, and the second is added to a share of that sum."""
    blocking: Blocking

    @property
    def inputs(self) -> int:
        return self.channels + self.more_channels

    @property
    def scratch(self) -> int:
        """Floats that each thread needs: for transformed tiles, for their products, and for one tile at a border."""
        return FREQUENCIES * (self.tile_stride + self.product_stride + max(self.channels, self.more_channels))

    @property
    def kernels(self) -> int:
        """Floats of all transformed kernels."""
        return FREQUENCIES * self.inputs * self.outputs

    @property
    def tile_stride(self) -> int:
        return TILES * self.inputs + _STAGGER

    @property
    def product_stride(self) -> int:
        return TILES * self.outputs + _STAGGER


ARGUMENTS = (
    *("source", "source_row", "source_pixel", "more", "more_row", "more_pixel"),
    *("height", "width", "columns", "count", "inputs", "outputs", "prepared", "begun", "weights", "kernels", "bias", "slopes"),
    *("target", "target_row", "target_pixel", "addend", "addend_row", "addend_pixel", "share"),
    *("last_addend", "last_addend_row", "last_addend_pixel"),
)


class Arguments(Structure):
    """What a function receives: addresses, strides in floats, and lengths in pixels, of 64 bits each.

    ``columns`` of ``count`` tiles, counted from the top left, are side by side. ``prepared`` and ``begun`` are addresses of the
    numbers of channels and tiles that some thread has begun. ``weights`` are (3, 3, in, out). Negative outputs are multiplied
    by ``slopes``. The rows and columns of ``target`` and addends are multiples of four. ``share`` is the address of what the
    result is multiplied by before an addend is added.
    """

    _fields_ = [(name, c_int64) for name in ARGUMENTS]


def write_kernel(shape: KernelShape) -> str:
    """Return the module with ``CONVOLVE``, which takes the addresses of ``Arguments`` and of scratch memory."""
    return _Kernel(shape).write()


def write_preparation(blocking: Blocking) -> str:
    """Return the module with ``PREPARE``, which takes the same and transforms the kernels for any shape with ``blocking``.

    It turns ``weights`` into ``kernels`` (36, out / block, in, block).
    """
    code, side = FunctionCode(), range(KERNEL_SIDE)
    vectors, arguments = VectorCode(code, blocking.width), _load_arguments(code)
    inputs, outputs = arguments["inputs"], arguments["outputs"]
    plane_size = code.multiply(inputs, outputs)
    with (
        code.claim(arguments["prepared"], _CHANNELS, inputs) as first,
        code.loop(_CHANNELS) as offset,
        code.loop(outputs, vectors.width) as output,
    ):
        channel = code.add(first, offset)
        weights = code.point(arguments["weights"], code.multiply(channel, outputs), output)
        plane = weights, code.multiply(plane_size, KERNEL_SIDE), plane_size
        columns = [
            write_kernel_transform(vectors, [vectors.load(code.point_to_pixel(plane, y, x)) for y in side]) for x in side
        ]
        number, place = code.divide(output, blocking.outputs)
        target = code.point(arguments["kernels"], code.multiply(number, inputs, blocking.outputs), place)
        target = code.point(target, code.multiply(channel, blocking.outputs))
        for y in range(INPUT_SIDE):
            for x, value in enumerate(write_kernel_transform(vectors, [column[y] for column in columns])):
                vectors.store(value, code.point(target, code.multiply(plane_size, y * INPUT_SIDE + x)))
    return f"{vectors.declarations}\n{code.finish(PREPARE)}\n"


def _load_arguments(code: FunctionCode) -> dict[str, str]:
    """Append what reads ``Arguments``, and return them by name."""
    arguments: dict[str, str] = {}
    for index, name in enumerate(ARGUMENTS):
        address = code.let(f"getelementptr i64, ptr %arguments, i64 {index}")
        kind = "i64" if name.endswith(("_row", "_pixel", "height", "width", "columns", "count", "puts")) else "ptr"
        arguments[name] = code.let(f"load {kind}, ptr {address}, align 8")
    return arguments


class _Kernel:
    def __init__(self, shape: KernelShape) -> None:
        self.shape = shape
        self.code = FunctionCode()
        self.vectors = VectorCode(self.code, shape.blocking.width)
        self.products = self.code.point("%scratch", FREQUENCIES * shape.tile_stride)
        self.border = self.code.point(self.products, FREQUENCIES * shape.product_stride)
        self.arguments = _load_arguments(self.code)

    def write(self) -> str:
        code = self.code
        count = self.arguments["count"]
        with code.claim(self.arguments["begun"], TILES, count) as first:
            with code.loop(TILES) as tile:
                number = code.add(first, tile)
                is_tile = code.compare("slt", number, count)  # the last one is computed again where there is none
                self._transform_tile(tile, code.choose(is_tile, number, code.subtract(count, 1)))
            self._multiply()
            with code.loop(TILES) as tile:
                number = code.add(first, tile)
                with code.when(code.compare("slt", number, count)):
                    self._store_tile(tile, number)
        return f"{self.vectors.declarations}\n{code.finish(CONVOLVE)}\n"

    def _get_plane(self, name: str) -> Plane:
        return self.arguments[name], self.arguments[f"{name}_row"], self.arguments[f"{name}_pixel"]

    def _locate_tile(self, number: str) -> tuple[str, str]:
        """Return the row and column of a tile's first output."""
        down, across = self.code.divide(number, self.arguments["columns"])
        return self.code.multiply(down, OUTPUT_SIDE), self.code.multiply(across, OUTPUT_SIDE)

    def _transform_tile(self, tile: str, number: str) -> None:
        code, shape = self.code, self.shape
        row, column = (code.subtract(first, 1) for first in self._locate_tile(number))
        is_inside = code.all_true(
            [
                code.compare("sge", row, 0),
                code.compare("sge", column, 0),
                code.compare("sle", code.add(row, INPUT_SIDE), self.arguments["height"]),
                code.compare("sle", code.add(column, INPUT_SIDE), self.arguments["width"]),
            ]
        )
        with code.loop(2 if shape.more_channels else 1) as source:
            is_first = code.compare("eq", source, 0)
            plane = code.choose_plane(is_first, self._get_plane("source"), self._get_plane("more"))
            channels = code.choose(is_first, shape.channels, shape.more_channels)
            target = code.point("%scratch", code.multiply(tile, shape.inputs), code.choose(is_first, 0, shape.channels))
            self._transform_channels(self._find_tile(plane, row, column, channels, is_inside), channels, target)

    def _find_tile(self, plane: Plane, row: str, column: str, channels: str, is_inside: str) -> Plane:
        """Return a tile where it is, or a copy of it if the image ends in it or is enlarged."""
        code = self.code
        copy = (self.border, code.multiply(channels, INPUT_SIDE), channels)
        if self.shape.doubles:
            self._copy_tile(plane, row, column, channels)
            return copy
        with code.when(code.let(f"xor i1 {is_inside}, true")):
            self._copy_tile(plane, row, column, channels)
        return code.choose_plane(is_inside, (code.point_to_pixel(plane, row, column), *plane[1:]), copy)

    def _copy_tile(self, plane: Plane, row: str, column: str, channels: str) -> None:
        """Copy a tile to ``border``, with zeros outside the image."""
        code = self.code
        with code.loop(FREQUENCIES) as index:
            down, across = code.divide(index, INPUT_SIDE)
            y, x = code.add(row, down), code.add(column, across)
            # A number below zero is a large one without its sign.
            inside = [code.compare("ult", y, self.arguments["height"]), code.compare("ult", x, self.arguments["width"])]
            is_inside = code.all_true(inside)
            if self.shape.doubles:
                y, x = (code.let(f"lshr i64 {one}, 1") for one in (y, x))
            pixel = code.point_to_pixel(plane, code.choose(is_inside, y, 0), code.choose(is_inside, x, 0))
            copy = code.point(self.border, code.multiply(index, channels))
            with code.loop(channels, self.vectors.width) as channel:
                values = self.vectors.choose(is_inside, self.vectors.load(code.point(pixel, channel)))
                self.vectors.store(values, code.point(copy, channel))

    def _transform_channels(self, plane: Plane, channels: str, target: str) -> None:
        code, vectors, side = self.code, self.vectors, range(INPUT_SIDE)
        pixels = {(y, x): code.point_to_pixel(plane, str(y), str(x)) for y in side for x in side}
        with code.loop(channels, vectors.width) as channel:
            columns = [
                write_input_transform(vectors, [vectors.load(code.point(pixels[y, x], channel)) for y in side]) for x in side
            ]
            target = code.point(target, channel)
            for y in side:
                for x, value in enumerate(write_input_transform(vectors, [column[y] for column in columns])):
                    vectors.store(value, code.point(target, (y * INPUT_SIDE + x) * self.shape.tile_stride))

    def _multiply(self) -> None:
        """For each frequency: tiles x inputs, times inputs x outputs."""
        code, shape, blocking = self.code, self.shape, self.shape.blocking
        with code.loop(FREQUENCIES) as frequency:
            tiles = code.point("%scratch", code.multiply(frequency, shape.tile_stride))
            kernels = code.point(self.arguments["kernels"], code.multiply(frequency, shape.inputs * shape.outputs))
            products = code.point(self.products, code.multiply(frequency, shape.product_stride))
            with code.loop(shape.outputs, blocking.outputs) as output:
                block = code.point(kernels, code.multiply(output, shape.inputs))
                with code.loop(TILES, blocking.rows) as row:
                    rows = code.point(tiles, code.multiply(row, shape.inputs))
                    self._multiply_block(rows, block, code.point(products, code.multiply(row, shape.outputs), output))

    def _multiply_block(self, tiles: str, kernels: str, products: str) -> None:
        """Multiply some rows by some columns; LLVM keeps the sums in registers."""
        code, vectors, shape, blocking = self.code, self.vectors, self.shape, self.shape.blocking
        cells = [(row, vector) for row in range(blocking.rows) for vector in range(blocking.vectors)]
        sums = {cell: code.declare_variable(vectors.type) for cell in cells}
        for variable in sums.values():
            code.do(f"store {vectors.type} zeroinitializer, ptr {variable}")
        with code.loop(shape.inputs, _UNROLLED) as index:
            for step in range(_UNROLLED):
                kernel = code.point(kernels, code.multiply(index, blocking.outputs), step * blocking.outputs)
                weights = [vectors.load(code.point(kernel, one * vectors.width)) for one in range(blocking.vectors)]
                for row in range(blocking.rows):  # each value right before its use, or LLVM runs out of registers
                    value = vectors.repeat(code.point(tiles, index, row * shape.inputs + step))
                    for vector, weight in enumerate(weights):
                        total = sums[row, vector]
                        vectors.store(vectors.multiply_add(value, weight, vectors.load(total)), total)
        for (row, vector), variable in sums.items():
            vectors.store(vectors.load(variable), code.point(products, row * shape.outputs + vector * vectors.width))

    def _store_tile(self, tile: str, number: str) -> None:
        code, vectors, shape, side = self.code, self.vectors, self.shape, range(INPUT_SIDE)
        row, column = self._locate_tile(number)
        products = code.point(self.products, code.multiply(tile, shape.outputs))
        target, *addends = (
            self._get_pixels(name, row, column) for name in ("target", "addend", "last_addend")[: 1 + shape.addends]
        )
        with code.loop(shape.outputs, vectors.width) as output:
            cells = code.point(products, output)
            addresses = [[code.point(cells, (y * INPUT_SIDE + x) * shape.product_stride) for y in side] for x in side]
            columns = [write_output_transform(vectors, [vectors.load(one) for one in column]) for column in addresses]
            bias, slopes = (vectors.load(code.point(self.arguments[name], output)) for name in ("bias", "slopes"))
            for y in range(OUTPUT_SIDE):
                for x, value in enumerate(write_output_transform(vectors, [each[y] for each in columns])):
                    total = vectors.add(value, bias)
                    total = vectors.choose_positive(total, vectors.multiply(total, slopes))
                    for addend in addends:
                        added = vectors.load(code.point(addend[y, x], output))
                        total = vectors.multiply_add(total, vectors.repeat(self.arguments["share"]), added)
                    vectors.store(total, code.point(target[y, x], output))

    def _get_pixels(self, name: str, row: str, column: str) -> dict[tuple[int, int], str]:
        corner = self.code.point_to_pixel(self._get_plane(name), row, column)
        plane = (corner, *self._get_plane(name)[1:])
        return {(y, x): self.code.point_to_pixel(plane, y, x) for y in range(OUTPUT_SIDE) for x in range(OUTPUT_SIDE)}
