"""Importing a bots file and finding its user classes; every failure is one sentence that names file and line."""

from __future__ import annotations

import importlib.util
import inspect
import sys
import traceback
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any

import locust

from chaosctl.errors import NotReadyError
from chaosctl.swarm.bot import Bot

UserClass = Any  # a subclass of locust.User, which is untyped


def load_user_classes(path: Path, name: str | None) -> tuple[UserClass, ...]:
    """Return the class `name` of the file, or all its runnable User classes, in the order of the file.

    Raises NotReadyError.
    """
    module = _import(path)
    classes: dict[str, UserClass] = {
        found: value
        for found, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, locust.User)
    }
    runnable = {found: value for found, value in classes.items() if not value.abstract and value.weight > 0}
    chosen: tuple[UserClass, ...]
    if name is not None:
        chosen = (_named(path, module, classes, name),)
    elif runnable:
        chosen = tuple(dict.fromkeys(runnable.values()))
    else:
        raise NotReadyError(
            f"{path}: there is no User class in it; define one: `class Player(Bot)`, or any Locust User with a @task"
        )
    for user_class in chosen:
        _check(path, user_class)
    return chosen


def _named(path: Path, module: ModuleType, classes: dict[str, UserClass], name: str) -> UserClass:
    if name in classes:
        return classes[name]
    if hasattr(module, name):
        raise NotReadyError(f"{path}: '{name}' is not a Locust User class; name a subclass of Bot or of locust.User")
    own = [found for found, value in classes.items() if not value.abstract]
    near = get_close_matches(name, own, 1)
    mend = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(own) or 'no User class at all'}"
    raise NotReadyError(f"{path}: there is no class '{name}' in it; {mend}")


def _check(path: Path, user_class: UserClass) -> None:
    if user_class is Bot:
        raise NotReadyError(f"{path}: 'Bot' is the base class; name a subclass of it that has a turn(self)")
    if issubclass(user_class, Bot):
        if user_class.turn is Bot.turn:
            raise NotReadyError(f"{path}: class '{user_class.__name__}' has no turn(self); give it one")
    elif not user_class.tasks:
        raise NotReadyError(f"{path}: class '{user_class.__name__}' has no task; mark a method of it with @task")


def _import(path: Path) -> ModuleType:
    # Modules that lie beside it can be imported. At the end of the path and under a name of its own, since a bots file
    # is easily called `http.py`.
    sys.path.append(str(path.parent))
    name = f"chaosctl_bots_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise NotReadyError(f"{path}: there is no such Python file; `bots:` names `path.py` or `path.py:Class`")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # it is somebody else's code, which can raise anything
        raise NotReadyError(import_failure(path, error)) from error
    return module


def import_failure(path: Path, error: BaseException) -> str:
    """Return `file:line: Error: message` with the innermost place that lies beside the bots file."""
    line = None
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}; the bots file cannot be imported"
    place = str(path)
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).parent == path.parent:
            place, line = frame.filename, frame.lineno
    where = place if line is None else f"{place}:{line}"
    return f"{where}: {type(error).__name__}: {error}; the bots file cannot be imported"
