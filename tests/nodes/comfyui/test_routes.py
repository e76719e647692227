"""What the scripts on the canvas ask of the server: the headless command, and downloads that nobody but a person can start."""

import asyncio
import json
import shlex
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from upscale8k.nodes.comfyui import routes as comfyui_routes
from upscale8k.nodes.comfyui.routes import ALLOW_DOWNLOADS_ENV, Routes, build_command_line
from upscale8k.runtime.errors import Cancelled, ModelDamaged
from upscale8k.runtime.host import LocalHost
from upscale8k.runtime.paths import PACK_ROOT

pytest.importorskip("aiohttp", reason="aiohttp comes with ComfyUI")
MODEL = "realesrgan-x2plus"


class Server:
    """As much of ComfyUI's server as the routes ask."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, dict[str, Any], str | None]] = []

    def send_sync(self, event: str, data: dict[str, Any], page: str | None) -> None:
        self.sent.append((event, data, page))


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """ComfyUI's arguments, for a server that only this machine reaches."""
    args = SimpleNamespace(listen="127.0.0.1")
    comfy, cli, server = ModuleType("comfy"), ModuleType("comfy.cli_args"), ModuleType("server")
    cli.args = args  # type: ignore[attr-defined]
    server.is_loopback = lambda address: address.startswith("127.")  # type: ignore[attr-defined]
    for name, module in (("comfy", comfy), ("comfy.cli_args", cli), ("server", server)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delenv(ALLOW_DOWNLOADS_ENV, raising=False)
    return args


@pytest.fixture
def routes(tmp_path: Path, listen: SimpleNamespace) -> Routes:
    return Routes(LocalHost(models_dirs=(tmp_path,)), Server())


def post(
    content: Any,
    *,
    origin: str | None = "http://127.0.0.1:8188",
    kind: str = "application/json",
    host: str = "127.0.0.1:8188",
) -> Any:
    async def body() -> Any:
        return json.loads(content) if isinstance(content, str) else content

    headers = {} if origin is None else {"Origin": origin}
    return SimpleNamespace(method="POST", headers=headers, host=host, content_type=kind, json=body)


def answered(coroutine: Any) -> tuple[int, dict[str, Any]]:
    answer = asyncio.run(coroutine)
    return answer.status, json.loads(answer.text)


def never(*_: Any) -> Any:
    raise AssertionError("a download was begun")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post({"id": MODEL}, origin=None), 403),
        (post({"id": MODEL}, origin="http://elsewhere.example"), 403),
        (post({"id": MODEL}, origin="http://127.0.0.1:9999"), 403),
        (post({"id": MODEL}, kind="text/plain"), 403),
        (post({"id": "../../etc/passwd"}), 400),
        (post({"id": "https://elsewhere.example/weights.pth"}), 400),
        (post({}), 400),
        (post(["id"]), 400),
        (post(None), 400),
        (post("{"), 400),
        (post("[" * 100_000), 400),
        (post({"id": MODEL}, origin="http://rebound.example:8188", host="rebound.example:8188"), 403),
        (post({"id": MODEL}, origin="http://127.0.0.1.rebound.example", host="127.0.0.1.rebound.example"), 403),
    ],
    ids=[
        *(
            "no origin",
            "other site",
            "other port",
            "a form",
            "a path",
            "an address",
            "nothing",
            "a list",
            "null",
            "half a JSON",
        ),
        *("deep", "a rebound name", "a rebound name like an address"),
    ],
)
def test_what_is_no_click_on_a_page_of_this_server_downloads_nothing(
    routes: Routes, monkeypatch: pytest.MonkeyPatch, request_: Any, status: int
) -> None:
    monkeypatch.setattr("upscale8k.runtime.models.pull.pull_model", never)
    found, said = answered(routes.start_download(request_))
    assert found == status
    assert said["error"]


@pytest.mark.parametrize(("address", "allow", "possible"), [
    ("0.0.0.0,::", "", False),
    ("127.0.0.1,192.168.1.5", "", False),
    ("0.0.0.0,::", "1", True),
    ("127.0.0.1", "", True),
    ("127.0.0.1", "0", False),
])  # fmt: skip
def test_a_server_that_others_reach_downloads_only_when_its_owner_says_so(
    routes: Routes, listen: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, address: str, allow: str, possible: bool
) -> None:
    listen.listen = address
    monkeypatch.setenv(ALLOW_DOWNLOADS_ENV, allow)
    monkeypatch.setattr("upscale8k.runtime.models.pull.pull_model", lambda *_: SimpleNamespace(path=Path("there"), warning=""))
    status, said = answered(routes.start_download(post({"id": MODEL})))
    assert status == (200 if possible else 403)
    assert ("error" in said) != possible
    _, table = answered(routes.list_models(SimpleNamespace(method="GET", headers={}, host="localhost:8188")))
    assert (table["refusal"] == "") == possible


def test_a_download_tells_the_page_that_asked_how_far_it_is(
    routes: Routes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pull(entry: Any, folder: Path, open_progress: Any) -> Any:
        open_progress(10, "bytes").advance(5)
        return SimpleNamespace(path=folder / entry.file, warning="")

    monkeypatch.setattr("upscale8k.runtime.models.pull.pull_model", pull)
    status, said = answered(routes.start_download(post({"id": MODEL, "client_id": "page"})))
    assert (status, said["path"]) == (200, str(tmp_path / "RealESRGAN_x2plus.pth"))
    server: Any = routes._server
    assert server.sent == [("upscale8k.download", {"id": MODEL, "here": 5, "total": 10}, "page")]


def test_what_is_wrong_with_a_download_reaches_the_page(routes: Routes, monkeypatch: pytest.MonkeyPatch) -> None:
    def pull(*_: Any) -> Any:
        raise ModelDamaged("What came is not the official file.", "It was deleted.")

    monkeypatch.setattr("upscale8k.runtime.models.pull.pull_model", pull)
    assert answered(routes.start_download(post({"id": MODEL}))) == (
        400,
        {"error": "What came is not the official file. It was deleted."},
    )


def test_stop_ends_a_download_and_another_can_begin(routes: Routes, monkeypatch: pytest.MonkeyPatch) -> None:
    began = []

    def pull(entry: Any, folder: Path, open_progress: Any) -> Any:
        began.append(entry.id)
        progress = open_progress(0, "bytes")
        for _ in range(2_000):
            progress.advance(1)
            time.sleep(0.01)
        raise AssertionError("it was not stopped")

    monkeypatch.setattr("upscale8k.runtime.models.pull.pull_model", pull)

    async def both() -> tuple[int, Any]:
        first = asyncio.create_task(routes.start_download(post({"id": MODEL})))
        while not began:
            await asyncio.sleep(0.01)
        second = await routes.start_download(post({"id": MODEL}))
        await routes.stop_download(post({"id": MODEL}))
        return second.status, json.loads((await first).text)

    assert asyncio.run(both()) == (409, {"stopped": True})
    assert answered(routes.stop_download(post({"id": MODEL}))) == (200, {"stopped": False})


def test_the_table_says_what_is_here(routes: Routes, tmp_path: Path) -> None:
    (tmp_path / "RealESRGAN_x2plus.pth").write_bytes(b"x")
    status, said = answered(routes.list_models(SimpleNamespace(method="GET", headers={}, host="localhost:8188")))
    here = {row["id"]: row["here"] for row in said["models"]}
    assert (status, here[MODEL], here["bsrgan-x4"]) == (200, True, False)
    assert said["folder"] == str(tmp_path)


def test_the_command_names_every_folder_and_survives_a_shell(tmp_path: Path) -> None:
    home = tmp_path / "a b'c$(d)"
    host = LocalHost(input_dir=home / "in", output_dir=home / "out", models_dirs=(home / "m", home / "n"), device_name="cuda:1")
    line = build_command_line(host, home / "my flow.json", [home / "pack"], windows=False)
    there, _, words = line.partition(" && ")
    assert shlex.split(there) == ["cd", str(PACK_ROOT)]
    assert shlex.split(words)[1:] == [
        *("-m", "runtime", "run", str(home / "my flow.json")),
        *("--input-dir", str(home / "in"), "--output-dir", str(home / "out")),
        *("--models-dir", str(home / "m"), "--models-dir", str(home / "n")),
        *("--nodes", str(home / "pack"), "--device", "cuda:1"),
    ]


def test_on_windows_the_command_is_one_for_its_shell() -> None:
    line = build_command_line(LocalHost(input_dir=Path("my input")), Path("flow.json"), windows=True)
    assert line.startswith(f'cd /d "{PACK_ROOT}" && ')
    assert '--input-dir "my input"' in line


def test_without_a_server_there_is_nothing_to_register(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    monkeypatch.setattr(comfyui_routes, "Routes", lambda *given: made.append(given))
    monkeypatch.delitem(sys.modules, "server", raising=False)
    comfyui_routes.register_routes(LocalHost())
    assert "server" not in sys.modules
    monkeypatch.setitem(sys.modules, "server", ModuleType("server"))  # imported, not started
    comfyui_routes.register_routes(LocalHost())
    assert made == []


def test_a_second_registration_adds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from aiohttp import web

    module, server = ModuleType("server"), SimpleNamespace(routes=web.RouteTableDef())
    module.PromptServer = SimpleNamespace(instance=server)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "server", module)
    for _ in range(2):
        comfyui_routes.register_routes(LocalHost())
    assert len(server.routes) == 6


def test_a_stopped_download_is_no_error() -> None:
    download = comfyui_routes.ModelDownload(lambda here, total: None)
    download.stop_requested = True
    with pytest.raises(Cancelled):
        download.open(2, "bytes").advance(1)


@pytest.mark.parametrize("host", ["localhost", "localhost:8188", "127.0.0.1:8188", "[::1]:8188", "a.localhost:1"])
def test_a_page_of_this_machine_may_download(routes: Routes, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setattr("upscale8k.runtime.models.pull.pull_model", lambda *_: SimpleNamespace(path=Path("there"), warning=""))
    status, _ = answered(routes.start_download(post({"id": MODEL}, origin=f"http://{host}", host=host)))
    assert status == 200


def test_a_name_of_a_pack_that_no_folder_can_have_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("folder_paths")
    module.get_folder_paths = lambda _: [str(tmp_path)]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "folder_paths", module)
    for name in ("a" * 3000, "a\0b", "..", ""):
        assert comfyui_routes._find_pack_folder(f"custom_nodes.{name}") is None


def test_samples_are_copied_where_they_lack_and_nothing_is_replaced(
    tmp_path: Path, root: Path, listen: SimpleNamespace
) -> None:
    folder = tmp_path / "input"
    folder.mkdir()
    (folder / "sample.png").write_bytes(b"mine")
    routes = Routes(LocalHost(input_dir=folder), Server())
    media = {path.name: path.read_bytes() for path in (root / "workflows" / "media").glob("sample*.*")}
    assert answered(routes.copy_samples(post({}, origin="http://elsewhere.example")))[0] == 403
    assert [path.name for path in folder.iterdir()] == ["sample.png"]
    assert answered(routes.copy_samples(post({}))) == (200, {"copied": sorted(media.keys() - {"sample.png"})})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {**media, "sample.png": b"mine"}
    assert answered(routes.copy_samples(post({}))) == (200, {"copied": []})

    (tmp_path / "file").write_bytes(b"")
    status, content = answered(Routes(LocalHost(input_dir=tmp_path / "file" / "input"), Server()).copy_samples(post({})))
    assert status == 400
    assert "sample" in content["error"]


def test_tune_examines_a_file_of_the_input_folder_for_a_page_of_this_server(tmp_path: Path, listen: SimpleNamespace) -> None:
    numpy, image = pytest.importorskip("numpy"), pytest.importorskip("PIL.Image")
    noise = numpy.random.default_rng(1).normal(128, 12, (96, 96, 3)).astype("uint8")
    image.fromarray(noise).save(tmp_path / "noisy.png")
    (tmp_path / "notes.png").write_text("none")
    host = Routes(LocalHost(tmp_path, tmp_path, models_dirs=(tmp_path,)), Server())
    assert answered(host.tune(post({"file": "noisy.png"}, origin="http://elsewhere.example")))[0] == 403
    for name in ("absent.png", "../outside.png", "notes.png", "", 5, None):
        status, said = answered(host.tune(post({"file": name})))
        assert status == 400, name
        assert said["error"]
    status, said = answered(host.tune(post({"file": "noisy.png"})))
    assert (status, said["values"]["TiledUpscale"]) == (200, {"strength": 1.0})
    assert any(reason.startswith("Noise of ") for reason in said["reasons"])
