"""Paths as one types them, and where downloads go."""

from pathlib import Path

from zchat.client.console.text import harmless
from zchat.client.files import short_name
from zchat.errors import ConfigError


def local(path: str) -> Path:
    """The path meant by what was typed; raises ConfigError."""
    try:
        if "\0" not in path:
            return Path(path).expanduser()
    except RuntimeError:
        pass
    raise ConfigError(f"{path!r} is no path here.")


def free_path(folder: Path, name: str) -> Path:
    """Where a file of that name may be written: in the folder, new."""
    base = harmless(name).replace("/", "_").replace("\\", "_").strip(". ")
    stem, dot, suffix = short_name(base or "file").rpartition(".")
    if not stem:
        stem, dot, suffix = suffix, "", ""
    number = 1
    path = folder / f"{stem}{dot}{suffix}"
    while path.exists():
        number += 1
        path = folder / f"{stem} ({number}){dot}{suffix}"
    return path
