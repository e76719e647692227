"""``folder_paths``: the folders of inputs, outputs and models of the host."""

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from ....atomic_write import find_next_counter
from ....errors import MediaError, ModelNotFound, OutputError
from ....file_types import IMAGE_SUFFIXES, WEIGHT_SUFFIXES
from ....paths import FOLDERS, expand_tokens, resolve_inside, split_annotation
from ..context import get_context, get_host
from ..missing import MissingApi

supported_pt_extensions: set[str] = {*WEIGHT_SUFFIXES, ".pt2", ".pkl"}

_WEIGHTS = (
    *("checkpoints", "loras", "vae", "text_encoders", "diffusion_models", "clip_vision", "style_models", "embeddings"),
    *("vae_approx", "controlnet", "gligen", "upscale_models", "latent_upscale_models", "hypernetworks", "photomaker"),
    *("model_patches", "audio_encoders", "background_removal", "frame_interpolation", "geometry_estimation"),
    *("optical_flow", "detection"),
)
_OTHER_KINDS: dict[str, set[str]] = {"configs": {".yaml"}, "diffusers": {"folder"}, "classifiers": {""}, "datasets": set()}
"""Folders of ComfyUI without weights -> the suffixes of their files"""
_OWN_FOLDERS = (*_WEIGHTS, *_OTHER_KINDS, "custom_nodes")
_ALTERNATIVE_FOLDERS = {"text_encoders": "clip", "diffusion_models": "unet", "controlnet": "t2i_adapter"}
_CURRENT_NAMES = {"unet": "diffusion_models", "clip": "text_encoders"}


class _ModelFolders(dict[str, tuple[list[str], set[str]]]):
    """name -> (folders, suffixes). Packs read and extend it; ComfyUI's own names use the model folders of the host."""

    def __init__(self) -> None:
        super().__init__()
        self._refreshed_for: object = None

    def refresh(self) -> None:
        """Set the folders of ComfyUI's own names for this run."""
        run = (_get_models_dir(), tuple(get_context().packs))
        if self._refreshed_for != run:
            self._refreshed_for = run
            self.update({own: (_list_own_folders(own), _OTHER_KINDS.get(own, supported_pt_extensions)) for own in _WEIGHTS})
            self.update({own: (_list_own_folders(own), suffixes) for own, suffixes in _OTHER_KINDS.items()})
            self["custom_nodes"] = (_list_own_folders("custom_nodes"), set())

    def __getitem__(self, name: str) -> tuple[list[str], set[str]]:
        self.refresh()
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        return name in _OWN_FOLDERS or super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        self.refresh()
        return super().__iter__()

    def keys(self) -> Any:
        self.refresh()
        return super().keys()

    def values(self) -> Any:
        self.refresh()
        return super().values()

    def items(self) -> Any:
        self.refresh()
        return super().items()

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401 # this is that method


folder_names_and_paths = _ModelFolders()


def map_legacy(folder_name: str) -> str:
    """Return the current name of a model folder."""
    return _CURRENT_NAMES.get(folder_name, folder_name)


# Other names in the module of ComfyUI 0.30. Packs detect its version by hasattr.
_MISSING_NAMES = frozenset(
    """
    CacheHelper DANGEROUS_CONTENT_TYPES SYSTEM_USER_PREFIX cache_helper cached_filename_list_ extension_mimetypes_cache
    get_filename_list_ is_dangerous_content_type renders_safely_as_image set_input_directory set_output_directory
    set_temp_directory set_user_directory
    """.split()  # noqa: SIM905 # read as a list of words
)

filename_list_cache: dict[str, Any] = {}
"""ComfyUI caches its file lists here; the stub caches none."""


def __getattr__(name: str) -> Any:
    answers = {
        "models_dir": lambda: str(_get_models_dir()),
        "base_path": lambda: str(_get_models_dir().parent),
        "input_directory": get_input_directory,
        "output_directory": get_output_directory,
        "temp_directory": get_temp_directory,
        "user_directory": get_user_directory,
    }
    if name in answers:
        return answers[name]()
    if name in _MISSING_NAMES:
        return MissingApi(f"folder_paths.{name}")
    raise AttributeError(f"module 'folder_paths' has no attribute {name!r}")


def _get_models_dir() -> Path:
    folders = get_host().model_folders()
    first = folders[0] if folders else Path("models")
    return first.parent if first.name == "upscale_models" else first


def _list_own_folders(name: str) -> list[str]:
    if name == "upscale_models":
        return [str(folder) for folder in get_host().model_folders()]
    if name == "custom_nodes":
        return list(dict.fromkeys(str(pack.parent) for pack in get_context().packs)) or [str(_get_models_dir().parent / name)]
    if name == "datasets":
        return [str(_get_models_dir().parent / name)]
    return [str(_get_models_dir() / folder) for folder in (name, _ALTERNATIVE_FOLDERS.get(name)) if folder]


def get_input_directory() -> str:
    return str(get_host().folder("input").resolve())


def get_output_directory() -> str:
    return str(get_host().folder("output").resolve())


def get_temp_directory() -> str:
    return str(get_host().folder("temp").resolve())


def get_user_directory() -> str:
    """Return a folder for settings of packs, which lasts as long as the run."""
    path = get_host().folder("temp") / "user"
    path.mkdir(parents=True, exist_ok=True)
    return str(path)


def get_system_user_directory(name: str = "system") -> str:
    return str(Path(get_user_directory()) / f"__{name}")


def get_public_user_directory(user_id: str) -> str | None:
    """Return the folder of a user; None for ComfyUI's own folders, which are not served."""
    return None if user_id.startswith("__") else str(Path(get_user_directory()) / Path(user_id).name)


def get_directory_by_type(type_name: str) -> str | None:
    return next((str(get_host().folder(folder).resolve()) for folder in FOLDERS if folder == type_name), None)


def annotated_filepath(name: str) -> tuple[str, str | None]:
    """Return ``("x.png", output folder)`` for ``x.png [output]``."""
    plain_name, folder = split_annotation(name)
    return plain_name, None if plain_name == name else get_directory_by_type(folder)


def get_annotated_filepath(name: str, default_dir: str | None = None) -> str:
    plain_name, folder = annotated_filepath(name)
    root = Path(folder or default_dir or get_input_directory())
    path = resolve_inside(root, plain_name)
    if path is None:
        raise MediaError(f"{name!r} is outside the folder {root}.", "Name a file inside it.", path=root)
    if folder is None and default_dir is None and not path.is_file():
        try:
            return str(get_host().find_input(name))  # the media beside the workflow
        except MediaError:
            return str(path)
    return str(path)


def exists_annotated_filepath(name: str) -> bool:
    try:
        return Path(get_annotated_filepath(name)).exists()
    except MediaError:
        return False


def is_within_directory(directory: str, target: str) -> bool:
    return resolve_inside(Path(directory), target) is not None


def filter_files_extensions(files: Collection[str], extensions: Collection[str]) -> list[str]:
    return sorted(name for name in files if not extensions or Path(name).suffix.lower() in extensions)


_CONTENT_SUFFIXES = {
    "image": set(IMAGE_SUFFIXES),
    "video": {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg", ".ts"},
    "audio": {".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"},
    "model": {".glb", ".gltf", ".obj", ".fbx", ".stl", ".ply"},
}


def filter_files_content_types(files: list[str], content_types: Iterable[str]) -> list[str]:
    """Return the files with the suffix of an image, a video, audio or a 3D model, in their order."""
    suffixes = set[str]().union(*(_CONTENT_SUFFIXES.get(kind, ()) for kind in content_types))
    return [name for name in files if Path(name).suffix.lower() in suffixes]


def add_model_folder_path(folder_name: str, full_folder_path: str, is_default: bool = False) -> None:
    """Add a model folder. A new name accepts files with any suffix."""
    name = map_legacy(folder_name)
    folders = folder_names_and_paths[name][0] if name in folder_names_and_paths else []
    folder_names_and_paths.setdefault(name, (folders, set()))
    if full_folder_path not in folders:
        folders.insert(0 if is_default else len(folders), full_folder_path)


def get_folder_paths(folder_name: str) -> list[str]:
    return list(folder_names_and_paths[map_legacy(folder_name)][0])


def recursive_search(directory: str, excluded_dir_names: list[str] | None = None) -> tuple[list[str], dict[str, float]]:
    """Return all files in a folder by relative path, and the modification times of the folders."""
    root = Path(directory)
    if not root.is_dir():
        return [], {}
    excluded = set(excluded_dir_names or ())
    inside = [path for path in root.rglob("*") if not excluded & set(path.relative_to(root).parts)]
    files = [str(path.relative_to(root)) for path in inside if path.is_file()]
    return files, {str(path): path.stat().st_mtime for path in [root, *inside] if path.is_dir()}


def get_filename_list(folder_name: str) -> list[str]:
    folders, suffixes = folder_names_and_paths[map_legacy(folder_name)]
    found = [recursive_search(folder, [".git"])[0] for folder in folders]
    return sorted({name for files in found for name in filter_files_extensions(files, suffixes)})


def get_full_path(folder_name: str, filename: str) -> str | None:
    paths = (resolve_inside(Path(folder), filename) for folder in get_folder_paths(folder_name))
    return next((str(path) for path in paths if path is not None and path.is_file()), None)


def get_full_path_or_raise(folder_name: str, filename: str) -> str:
    path = get_full_path(folder_name, filename)
    if path is None:
        searched_folders = ", ".join(get_folder_paths(folder_name)) or "no folder"
        raise ModelNotFound(f"{filename!r} is not in {searched_folders}.", "Copy the file there.", model=filename)
    return path


def get_input_subfolders() -> list[str]:
    root = Path(get_input_directory())
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir()) if root.is_dir() else []


def get_save_image_path(
    filename_prefix: str, output_dir: str, image_width: int = 0, image_height: int = 0
) -> tuple[str, str, int, str, str]:
    """Return (folder, file name, counter, subfolder, prefix) for the file ``f"{file name}_{counter:05}_.png"``."""
    prefix = expand_tokens(filename_prefix, width=image_width, height=image_height)
    path = resolve_inside(Path(output_dir), prefix)
    if path is None:
        what = f"The file name {filename_prefix!r} is outside the folder {output_dir}."
        raise OutputError(what, "Use a plain name, or sub/name for a folder inside it.", path=Path(output_dir))
    path.parent.mkdir(parents=True, exist_ok=True)
    subfolder = path.parent.relative_to(Path(output_dir).resolve())
    counter = find_next_counter(path.parent, path.name)
    return str(path.parent), path.name, counter, "" if subfolder == Path() else str(subfolder), prefix
