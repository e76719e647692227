"""The three transforms of F(4x4, 3x3): of a 6x6 input tile, of a 3x3 kernel, and of the products into a 4x4 output tile.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), with the matrices of Cook and Toom for the points
0, a, -a, b, -b and infinity. The usual points 1 and 2 have 2.3 times the error of a = 5/8 and b = 3/2 (7.7e-7 for 64 channels
of unit variance, of which a direct sum has 2e-7), whose powers are exact in fp32 too.
"""

from collections.abc import Sequence

from .vector_code import VectorCode

OUTPUT_SIDE, KERNEL_SIDE, INPUT_SIDE = 4, 3, 6
FREQUENCIES = INPUT_SIDE**2
"""Products for each pair of channels and each tile; 144 without the transforms."""
_A, _B = 5 / 8, 3 / 2
_A2, _B2 = _A**2, _B**2


def write_input_transform(vectors: VectorCode, line: Sequence[str]) -> list[str]:
    """Append the transform of a line of six input vectors, and return its six results."""
    fma = vectors.multiply_add
    even_a, odd_a = fma(line[2], -_B2, line[4]), fma(line[1], -_B2, line[3])
    even_b, odd_b = fma(line[2], -_A2, line[4]), fma(line[1], -_A2, line[3])
    return [
        fma(line[0], _A2 * _B2, fma(line[2], -(_A2 + _B2), line[4])),
        fma(odd_a, _A, even_a),
        fma(odd_a, -_A, even_a),
        fma(odd_b, _B, even_b),
        fma(odd_b, -_B, even_b),
        fma(line[1], _A2 * _B2, fma(line[3], -(_A2 + _B2), line[5])),
    ]


def write_output_transform(vectors: VectorCode, line: Sequence[str]) -> list[str]:
    """Append the transform of a line of six products, and return its four outputs."""
    fma, add, subtract = vectors.multiply_add, vectors.add, vectors.subtract
    even_a, odd_a = add(line[1], line[2]), subtract(line[1], line[2])
    even_b, odd_b = add(line[3], line[4]), subtract(line[3], line[4])
    return [
        add(line[0], add(even_a, even_b)),
        fma(odd_a, _A, vectors.multiply(odd_b, _B)),
        fma(even_a, _A2, vectors.multiply(even_b, _B2)),
        fma(odd_a, _A * _A2, fma(odd_b, _B * _B2, line[5])),
    ]


def write_kernel_transform(vectors: VectorCode, line: Sequence[str]) -> list[str]:
    """Append the transform of a line of three weights, and return its six results."""

    def write_pair(point: float, divisor: float) -> tuple[str, str]:
        even = vectors.multiply_add(line[2], point**2 / divisor, vectors.multiply(line[0], 1 / divisor))
        odd = vectors.multiply(line[1], point / divisor)
        return vectors.add(even, odd), vectors.subtract(even, odd)

    difference = _A2 - _B2
    first = vectors.multiply(line[0], 1 / (_A2 * _B2))
    return [first, *write_pair(_A, 2 * _A2 * difference), *write_pair(_B, -2 * _B2 * difference), line[2]]
