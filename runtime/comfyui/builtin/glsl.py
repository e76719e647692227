"""Run GLSL ES 3.00 fragment shaders on images through EGL and OpenGL ES 3, without a window; Mesa's CPU driver suffices."""

import ctypes
import ctypes.util
import math
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import NodeError

OUTPUT_COUNT, MAX_IMAGES = 4, 5
Image = NDArray[np.float32]
"""(H, W, 3 or 4), and (H, W, 4) for results"""
_VERTEX_SHADER = """#version 300 es
out vec2 v_texCoord;
void main() {
    vec2 corner = vec2(gl_VertexID == 1 ? 3.0 : -1.0, gl_VertexID == 2 ? 3.0 : -1.0);
    v_texCoord = corner * 0.5 + 0.5;
    gl_Position = vec4(corner, 0.0, 1.0);
}
"""
# EGL 1.5 and EGL_MESA_platform_surfaceless
_SURFACELESS, _ES_API, _NONE = 0x31DD, 0x30A0, 0x3038
_CONFIG = (0x3040, 0x40, _NONE)  # EGL_RENDERABLE_TYPE, EGL_OPENGL_ES3_BIT
_CONTEXT = (0x3098, 3, _NONE)  # EGL_CONTEXT_CLIENT_VERSION
# OpenGL ES 3.0
_TEXTURE, _TEXTURE_0, _LINEAR, _CLAMP, _FLOAT = 0x0DE1, 0x84C0, 0x2601, 0x812F, 0x1406
_RGBA, _RGBA32F, _FRAMEBUFFER, _COLOR_0, _COMPLETE = 0x1908, 0x8814, 0x8D40, 0x8CE0, 0x8CD5
_VERTEX, _FRAGMENT, _COMPILE_STATUS, _LINK_STATUS, _TRIANGLES, _COLOR_BIT, _BLEND = (
    0x8B31,
    0x8B30,
    0x8B81,
    0x8B82,
    4,
    0x4000,
    0x0BE2,
)
_PARAMETERS = ((0x2801, _LINEAR), (0x2800, _LINEAR), (0x2802, _CLAMP), (0x2803, _CLAMP))
_HINT = "Install EGL and OpenGL ES (on Debian and Ubuntu: libegl1 libgles2 libgl1-mesa-dri), or a graphics driver."


def render_images(
    source: str,
    size: tuple[int, int],
    batches: Sequence[Sequence[Image]],
    uniforms: Mapping[str, float | int | bool | NDArray[np.float32]],
) -> list[list[Image]]:
    """Return the ``OUTPUT_COUNT`` images that a fragment shader makes of each batch of input images; unused ones are black.

    ``size`` is width and height. A shader with ``#pragma passes N`` reads its result of the pass before as ``u_image0``.
    Raises ``NodeError`` for a shader that does not compile, and where the machine has no OpenGL ES 3.
    """
    with _open_context() as gl:
        program = _build_program(gl, source)
        gl.glUseProgram(program)
        counts = [int(number) for number in re.findall(r"fragColor(\d+)", source)]
        passes = max([1, *map(int, re.findall(r"#pragma\s+passes\s+(\d+)", source))])
        renderer = _Renderer(gl, program, size, min(max(counts, default=0) + 1, OUTPUT_COUNT), passes)
        renderer.set_uniforms(uniforms)
        return [renderer.render(images) for images in batches]


class _Renderer:
    """Textures and framebuffers of one shader; the context that owns them frees them."""

    def __init__(self, gl: Any, program: int, size: tuple[int, int], outputs: int, passes: int) -> None:
        self.gl, self.program, self.size, self.outputs, self.passes = gl, program, size, outputs, passes
        self.target = self._create_framebuffer([self._create_texture() for _ in range(outputs)])
        self.between: list[tuple[int, int]] = []
        for _ in range(2 if passes > 1 else 0):
            texture = self._create_texture()
            self.between.append((self._create_framebuffer([texture]), texture))

    def set_uniforms(self, uniforms: Mapping[str, float | int | bool | NDArray[np.float32]]) -> None:
        width, height = self.size
        self.gl.glUniform2f(self._find("u_resolution"), ctypes.c_float(width), ctypes.c_float(height))
        for name, value in uniforms.items():
            location = self._find(name)
            if isinstance(value, np.ndarray):  # a curve: one row, after the units of the images
                pixels = np.zeros((1, len(value), 4), np.float32)
                pixels[0, :, 0] = value
                unit = MAX_IMAGES + int(name[-1])
                self.gl.glActiveTexture(_TEXTURE_0 + unit)
                self._create_texture((len(value), 1), pixels)
                self.gl.glUniform1i(location, unit)
            elif isinstance(value, float):
                self.gl.glUniform1f(location, ctypes.c_float(value))
            else:
                self.gl.glUniform1i(location, int(value))

    def render(self, images: Sequence[Image]) -> list[Image]:
        textures = [self._upload(unit, image) for unit, image in enumerate(images)]
        for number in range(self.passes):
            self.gl.glUniform1i(self._find("u_pass"), number)
            last = number == self.passes - 1
            self.gl.glBindFramebuffer(_FRAMEBUFFER, self.target if last else self.between[number % 2][0])
            self.gl.glActiveTexture(_TEXTURE_0)
            self.gl.glBindTexture(_TEXTURE, self.between[(number - 1) % 2][1] if number else textures[0])
            self.gl.glViewport(0, 0, *self.size)
            self.gl.glDisable(_BLEND)
            self.gl.glClearColor(*(ctypes.c_float(0),) * 4)
            self.gl.glClear(_COLOR_BIT)
            self.gl.glDrawArrays(_TRIANGLES, 0, 3)
        results = [self._read(number) for number in range(self.outputs)]
        self.gl.glDeleteTextures(len(textures), (ctypes.c_uint * len(textures))(*textures))
        width, height = self.size
        black = np.zeros((height, width, 4), np.float32)
        return [*results, *[black] * (OUTPUT_COUNT - self.outputs)]

    def _find(self, name: str) -> int:
        """Return the location of a uniform; -1, which OpenGL ignores, where the shader has none."""
        return self.gl.glGetUniformLocation(self.program, name.encode())

    def _create_texture(self, size: tuple[int, int] | None = None, pixels: Image | None = None) -> int:
        texture = ctypes.c_uint()
        self.gl.glGenTextures(1, ctypes.byref(texture))
        self.gl.glBindTexture(_TEXTURE, texture)
        for name, value in _PARAMETERS:
            self.gl.glTexParameteri(_TEXTURE, name, value)
        data = None if pixels is None else ctypes.c_void_p(pixels.ctypes.data)
        self.gl.glTexImage2D(_TEXTURE, 0, _RGBA32F, *(size or self.size), 0, _RGBA, _FLOAT, data)
        return texture.value

    def _upload(self, unit: int, image: Image) -> int:
        height, width, channels = image.shape
        pixels = np.ones((height, width, 4), np.float32)
        pixels[..., :channels] = image[::-1]  # rows of OpenGL begin at the bottom
        self.gl.glActiveTexture(_TEXTURE_0 + unit)
        texture = self._create_texture((width, height), pixels)
        self.gl.glUniform1i(self._find(f"u_image{unit}"), unit)
        return texture

    def _create_framebuffer(self, textures: Sequence[int]) -> int:
        framebuffer = ctypes.c_uint()
        self.gl.glGenFramebuffers(1, ctypes.byref(framebuffer))
        self.gl.glBindFramebuffer(_FRAMEBUFFER, framebuffer)
        for number, texture in enumerate(textures):
            self.gl.glFramebufferTexture2D(_FRAMEBUFFER, _COLOR_0 + number, _TEXTURE, texture, 0)
        self.gl.glDrawBuffers(len(textures), (ctypes.c_uint * len(textures))(*(_COLOR_0 + n for n in range(len(textures)))))
        if self.gl.glCheckFramebufferStatus(_FRAMEBUFFER) != _COMPLETE:
            raise NodeError("This OpenGL driver cannot draw into images of 32-bit floats.", _HINT)
        return framebuffer.value

    def _read(self, number: int) -> Image:
        width, height = self.size
        pixels = np.empty((height, width, 4), np.float32)
        self.gl.glReadBuffer(_COLOR_0 + number)
        self.gl.glReadPixels(0, 0, width, height, _RGBA, _FLOAT, ctypes.c_void_p(pixels.ctypes.data))
        return np.ascontiguousarray(pixels[::-1])


def _build_program(gl: Any, source: str) -> int:
    program = gl.glCreateProgram()
    for kind, text in ((_VERTEX, _VERTEX_SHADER), (_FRAGMENT, source)):
        shader = gl.glCreateShader(kind)
        code = ctypes.c_char_p(text.encode())
        gl.glShaderSource(shader, 1, ctypes.byref(code), None)
        gl.glCompileShader(shader)
        _check_status(gl.glGetShaderiv, gl.glGetShaderInfoLog, shader, _COMPILE_STATUS)
        gl.glAttachShader(program, shader)
    gl.glLinkProgram(program)
    _check_status(gl.glGetProgramiv, gl.glGetProgramInfoLog, program, _LINK_STATUS)
    return program


def _check_status(get_status: Callable[..., Any], get_log: Callable[..., Any], name: int, status: int) -> None:
    is_good = ctypes.c_int()
    get_status(name, status, ctypes.byref(is_good))
    if not is_good.value:
        log = ctypes.create_string_buffer(2000)
        get_log(name, len(log), None, log)
        what = f"The shader does not compile: {' '.join(log.value.decode(errors='replace').split())}."
        raise NodeError(what, "Correct fragment_shader; it is GLSL ES 3.00.")


@contextmanager
def _open_context() -> Generator[Any]:
    """Open an OpenGL ES 3 context of this thread without a surface for the block."""
    # Mesa and Triton each hold an LLVM. If Triton's is loaded second, as torch does when a model first needs it, the process
    # ends with a segmentation fault.
    with suppress(ImportError):
        import_module("triton")
    egl, gl = _load_library("EGL"), _load_library("GLESv2")
    for name in ("eglGetProcAddress", "eglCreateContext"):
        getattr(egl, name).restype = ctypes.c_void_p
    address = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not address:
        raise NodeError("EGL has no display without a window on this machine.", _HINT)
    get_display = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p)(address)
    display = ctypes.c_void_p(get_display(_SURFACELESS, None, None))
    config, count = ctypes.c_void_p(), ctypes.c_int()
    attributes = (ctypes.c_int * len(_CONFIG))(*_CONFIG)
    if (
        not display
        or not egl.eglInitialize(display, None, None)
        or not egl.eglBindAPI(_ES_API)
        or not egl.eglChooseConfig(display, attributes, ctypes.byref(config), 1, ctypes.byref(count))
    ):
        raise NodeError("EGL does not start on this machine.", _HINT)
    context = ctypes.c_void_p(egl.eglCreateContext(display, config, None, (ctypes.c_int * len(_CONTEXT))(*_CONTEXT)))
    if not context or not egl.eglMakeCurrent(display, None, None, context):
        raise NodeError("OpenGL ES 3 does not start on this machine.", _HINT)
    try:
        yield gl
    finally:
        egl.eglMakeCurrent(display, None, None, None)
        egl.eglDestroyContext(display, context)


def _load_library(name: str) -> Any:
    path = ctypes.util.find_library(name)
    if path is None:
        raise NodeError(f"GLSLShader needs the library {name}, which is not installed.", _HINT)
    return ctypes.CDLL(path)


def apply_shader(
    source: str, size: tuple[int, int] | None, images: Sequence[Any], uniforms: Mapping[str, Any]
) -> tuple[Any, ...]:
    """Return ``OUTPUT_COUNT`` IMAGE tensors that a shader makes of IMAGE tensors; ``size`` None is that of the first."""
    import torch

    if not images:
        raise NodeError("GLSLShader has no image.", "Link at least one.")
    height, width = images[0].shape[1:3]
    batches = [[image[min(index, len(image) - 1)].float().cpu().numpy() for image in images] for index in range(len(images[0]))]
    results = render_images(source, size or (width, height), batches, uniforms)
    return tuple(torch.stack([torch.as_tensor(batch[slot]) for batch in results]) for slot in range(OUTPUT_COUNT))


def sample_curve(curve: Mapping[str, Any], size: int = 256) -> NDArray[np.float32]:
    """Return (size,) values of a CURVE at evenly spaced places of 0..1; beyond its ends they are its ends.

    It has ``points`` (x, y) in 0..1 and ``interpolation``, ``linear`` or ``monotone_cubic``.

    The cubic is a Hermite spline with Fritsch and Carlson's slopes (SIAM J. Numer. Anal. 17, 1980), which keeps it monotone.
    """
    points = sorted((float(x), float(y)) for x, y in curve["points"])
    places = np.linspace(0.0, 1.0, size)
    xs, ys = (np.array(values, np.float64) for values in zip(*points, strict=True))
    if len(points) == 1 or curve.get("interpolation") == "linear":
        return np.interp(places, xs, ys).astype(np.float32)
    slopes = _compute_slopes(xs, ys)
    right = np.clip(np.searchsorted(xs, places, side="right"), 1, len(xs) - 1)
    left = right - 1
    width = xs[right] - xs[left]
    t = np.where(width == 0, 0.0, (places - xs[left]) / np.where(width == 0, 1.0, width))
    square, cube = t * t, t * t * t
    smooth = 3 * square - 2 * cube
    inside = (1 - smooth) * ys[left] + (cube - 2 * square + t) * width * slopes[left]
    inside += smooth * ys[right] + (cube - square) * width * slopes[right]
    return np.where(places <= xs[0], ys[0], np.where(places >= xs[-1], ys[-1], inside)).astype(np.float32)


def _compute_slopes(xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slope at each point: the mean of its neighbors', limited so that no part overshoots."""
    steps = np.diff(xs)
    rises = np.where(steps == 0, 0.0, np.diff(ys) / np.where(steps == 0, 1.0, steps))
    slopes = np.concatenate((rises[:1], (rises[:-1] + rises[1:]) / 2, rises[-1:]))
    slopes[1:-1][rises[:-1] * rises[1:] <= 0] = 0.0
    for index, rise in enumerate(rises):
        size = math.hypot(slopes[index], slopes[index + 1])
        if rise == 0:
            slopes[index : index + 2] = 0.0
        elif size > 3 * abs(rise):
            slopes[index : index + 2] *= 3 * abs(rise) / size
    return slopes
