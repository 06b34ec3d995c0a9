"""The configs that come with flowcli."""

from __future__ import annotations

from pathlib import Path

from flowcli import text as words
from flowcli.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parent.parent


def _folder() -> Path:
    """Return the folder of the configs: inside the installed package, or beside it in a checkout."""
    for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs"):
        if (folder / "auto.yaml").is_file():
            return folder
    raise ConfigError(f"no shipped configs beside {_PACKAGE}; this installation of flowcli is not whole")


def names() -> list[str]:
    """Return the names of all shipped configs, such as ``nsf``, in alphabetical order."""
    folder = _folder()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def nearest(name: str) -> str:
    """Return a hint at the shipped name nearest to this one."""
    known = names()
    close = words.nearest(name.lower(), known)
    return f"did you mean {close!r}?" if close else f"the shipped ones are {', '.join(known)}"


def text(name: str) -> str:
    """Return the text of a shipped config.

    Raises:
        ConfigError: There is none of that name; the message has the nearest one.
    """
    if name not in names():
        raise ConfigError(f"no shipped config is called {name!r}; {nearest(name)}")
    return (_folder() / f"{name}.yaml").read_text(encoding="utf-8")


def summary(name: str) -> str:
    """Return what a shipped config is, in one line: its first comment."""
    first = text(name).partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""
