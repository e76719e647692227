"""Writes a function in LLVM's intermediate language: integers, pointers, loops, and vectors of fp32.

Every method appends instructions and returns the name of their result. Nothing is reordered or contracted by LLVM, so a
function gives the same bits on every processor, whatever the width of its vectors.
"""

from collections.abc import Generator, Sequence
from contextlib import contextmanager

import numpy as np

_WIDE_VECTORS = '"prefer-vector-width"="512" "min-legal-vector-width"="512"'
"""Without it LLVM splits the vectors of some processors with AVX-512 in two."""

Plane = tuple[str, str | int, str | int]
"""An address, and the floats from row to row and from pixel to pixel."""


class FunctionCode:
    """The instructions of one function. Integers have 64 bits, and a number in the code stands for itself."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._variables: list[str] = []
        self._count = 0

    def make_name(self, kind: str = "v") -> str:
        """Return a name that occurs nowhere else, without its ``%``."""
        self._count += 1
        return f"{kind}{self._count}"

    def let(self, instruction: str) -> str:
        """Append an instruction and return its result."""
        name = f"%{self.make_name()}"
        self.do(f"{name} = {instruction}")
        return name

    def do(self, instruction: str) -> None:
        """Append an instruction without a result."""
        self._lines.append(f"  {instruction}")

    def begin_block(self, label: str) -> None:
        """Begin a basic block; the one before continues there unless it has ended with a branch."""
        if self._lines and not self._lines[-1].startswith("  br "):
            self.do(f"br label %{label}")
        self._lines.append(f"{label}:")

    def declare_variable(self, kind: str) -> str:
        """Return the address of a local variable, which LLVM keeps in a register where it can."""
        name = f"%{self.make_name()}"
        self._variables.append(f"  {name} = alloca {kind}")
        return name

    def add(self, *terms: str | int) -> str:
        return self._chain("add", terms)

    def subtract(self, first: str, second: str | int) -> str:
        return self.let(f"sub i64 {first}, {second}")

    def multiply(self, *factors: str | int) -> str:
        return self._chain("mul", factors)

    def divide(self, number: str, divisor: str | int) -> tuple[str, str]:
        """Return quotient and remainder of two numbers that are not negative."""
        quotient = self.let(f"udiv i64 {number}, {divisor}")
        return quotient, self.subtract(number, self.multiply(quotient, divisor))

    def compare(self, relation: str, first: str, second: str | int) -> str:
        """Return a bit; ``relation`` is LLVM's, such as ``slt`` for a smaller signed number."""
        return self.let(f"icmp {relation} i64 {first}, {second}")

    def all_true(self, bits: Sequence[str]) -> str:
        result, *others = bits
        for bit in others:
            result = self.let(f"and i1 {result}, {bit}")
        return result

    def choose(self, bit: str, first: str | int, second: str | int) -> str:
        return self.let(f"select i1 {bit}, i64 {first}, i64 {second}")

    def point(self, base: str, *floats: str | int) -> str:
        """Return the address that many floats after ``base``; the offset is the sum of ``floats``."""
        for offset in floats:
            base = self.let(f"getelementptr float, ptr {base}, i64 {offset}") if offset != 0 else base
        return base

    def choose_plane(self, bit: str, first: Plane, second: Plane) -> Plane:
        base = self.let(f"select i1 {bit}, ptr {first[0]}, ptr {second[0]}")
        return base, self.choose(bit, first[1], second[1]), self.choose(bit, first[2], second[2])

    def point_to_pixel(self, plane: Plane, row: str | int, column: str | int) -> str:
        """Return the address of a pixel of ``plane``."""
        base, row_stride, pixel_stride = plane
        return self.point(base, self.multiply(row, row_stride), self.multiply(column, pixel_stride))

    @contextmanager
    def loop(self, stop: str | int, step: int = 1, start: str | int = 0) -> Generator[str]:
        """Repeat what is appended inside for start, start + step, ... below ``stop``; at least once."""
        before, body, latch, after = (self.make_name(kind) for kind in ("before", "body", "latch", "after"))
        index, following = f"%{self.make_name()}", f"%{self.make_name()}"
        self.begin_block(before)
        self.begin_block(body)
        self.do(f"{index} = phi i64 [ {start}, %{before} ], [ {following}, %{latch} ]")
        yield index
        self.begin_block(latch)
        self.do(f"{following} = add nuw nsw i64 {index}, {step}")
        self.do(f"br i1 {self.compare('slt', following, stop)}, label %{body}, label %{after}")
        self.begin_block(after)

    @contextmanager
    def claim(self, counter: str, step: int, stop: str) -> Generator[str]:
        """Repeat what is appended inside for numbers that no other thread gets: the counter's, which grows by ``step``."""
        claim, body, after = (self.make_name(kind) for kind in ("claim", "body", "after"))
        self.begin_block(claim)
        number = self.let(f"atomicrmw add ptr {counter}, i64 {step} monotonic")
        self.do(f"br i1 {self.compare('slt', number, stop)}, label %{body}, label %{after}")
        self.begin_block(body)
        yield number
        self.do(f"br label %{claim}")
        self.begin_block(after)

    @contextmanager
    def when(self, bit: str) -> Generator[None]:
        """Do what is appended inside only if ``bit`` is set."""
        inside, after = self.make_name("inside"), self.make_name("after")
        self.do(f"br i1 {bit}, label %{inside}, label %{after}")
        self.begin_block(inside)
        yield
        self.begin_block(after)

    def finish(self, name: str) -> str:
        """Return the function ``name``, which takes the pointers ``%arguments`` and ``%scratch`` and returns nothing."""
        header = f"define void @{name}(ptr noalias %arguments, ptr noalias %scratch) nounwind {_WIDE_VECTORS} {{"
        return "\n".join([header, "entry:", *self._variables, *self._lines, "  ret void", "}"])

    def _chain(self, operation: str, operands: Sequence[str | int]) -> str:
        result, *others = operands
        for operand in others:
            result = self.let(f"{operation} i64 {result}, {operand}")
        return str(result)


class VectorCode:
    """Operations on vectors of ``width`` fp32 values in ``code``."""

    def __init__(self, code: FunctionCode, width: int) -> None:
        self._code, self.width = code, width
        self.type = f"<{width} x float>"

    @property
    def declarations(self) -> str:
        """What a module with these vectors declares."""
        return f"declare {self.type} @llvm.fma.v{self.width}f32({self.type}, {self.type}, {self.type})"

    def load(self, address: str) -> str:
        return self._code.let(f"load {self.type}, ptr {address}, align 4")

    def store(self, vector: str, address: str) -> None:
        self._code.do(f"store {self.type} {vector}, ptr {address}, align 4")

    def repeat(self, address: str) -> str:
        """Return a vector of the one value at ``address``."""
        value = self._code.let(f"load float, ptr {address}, align 4")
        first = self._code.let(f"insertelement {self.type} poison, float {value}, i64 0")
        return self._code.let(f"shufflevector {self.type} {first}, {self.type} poison, <{self.width} x i32> zeroinitializer")

    def add(self, first: str, second: str) -> str:
        return self._code.let(f"fadd {self.type} {first}, {second}")

    def subtract(self, first: str, second: str) -> str:
        return self._code.let(f"fsub {self.type} {first}, {second}")

    def multiply(self, first: str, second: str | float) -> str:
        return self._code.let(f"fmul {self.type} {first}, {self._as_vector(second)}")

    def multiply_add(self, first: str, second: str | float, added: str) -> str:
        """Return first * second + added, rounded once."""
        operands = ", ".join(f"{self.type} {self._as_vector(one)}" for one in (first, second, added))
        return self._code.let(f"call {self.type} @llvm.fma.v{self.width}f32({operands})")

    def choose_positive(self, tested: str, otherwise: str) -> str:
        """Return ``tested`` where that is above 0, else ``otherwise``."""
        bits = self._code.let(f"fcmp ogt {self.type} {tested}, zeroinitializer")
        return self._code.let(f"select <{self.width} x i1> {bits}, {self.type} {tested}, {self.type} {otherwise}")

    def choose(self, bit: str, vector: str) -> str:
        """Return ``vector``, or zeros if ``bit`` is not set."""
        return self._code.let(f"select i1 {bit}, {self.type} {vector}, {self.type} zeroinitializer")

    def _as_vector(self, value: str | float) -> str:
        if isinstance(value, str):
            return value
        # LLVM writes a float as the bits of the double with its value.
        bits = int(np.array(np.float64(np.float32(value))).view(np.uint64))
        return f"<{', '.join([f'float 0x{bits:016X}'] * self.width)}>"
