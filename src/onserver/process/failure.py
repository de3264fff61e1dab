"""How an exception travels: from the run that raised it to whoever asks for the result.

The record keeps it as values: type, module, message, arguments (where they can be sent), the traceback as text, and
the exception that caused it. At the caller it is raised again as the type that it was, if that class can be imported
from an allowed module: builtins, onserver's own errors, the project's modules, and those of the setting
`process.exception_modules`. Its cause is then a `ProcedureFailed` that carries the remote traceback. Any other type is
a `ProcedureFailed` itself. Only exceptions are made this way, by their own class and their own arguments; nothing else
in a record is ever called.
"""

import builtins
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from onserver.errors import (
    NotSendable,
    ProcedureFailed,
    ProcessAborted,
    ProcessDead,
    ProcessLost,
    ProcessNotFound,
)
from onserver.process.inbox import End
from onserver.server import Server
from onserver.values import decode, encode

_LONGEST_TEXT: Final = 4_000
_LONGEST_SUMMARY: Final = 500
_LONGEST_TRACE: Final = 32_000
_OURS: Final = "onserver.errors"


def error_value(
    kind: str, message: str, trace: str = "", *, module: str = "builtins", arguments: Sequence[object] | None = None
) -> bytes:
    """Make the error of a record from its facts.

    Args:
        kind: name of the class of the exception.
        message: its text.
        trace: its traceback as text.
        module: where the class is.
        arguments: what the class is made of again; its text alone when None.
    """
    given = [message] if arguments is None else list(arguments)
    facts = {"type": kind, "module": module, "message": message, "args": given, "traceback": trace}
    return encode(facts)


def error_of(error: BaseException, skip: int = 0) -> bytes:
    """Turn an exception into the error of a record.

    Args:
        error: what was raised.
        skip: how many frames at the top of its traceback are ours, and are left out.
    """
    facts = _facts(error, skip)
    try:
        return encode(facts)
    except NotSendable:  # a text that is no Unicode: shown as it can be
        return encode({name: _printable(fact) for name, fact in facts.items() if name not in {"args", "cause"}})


def summary_of(error: BaseException) -> tuple[str, str]:
    """Answer what a line about an exception needs: the name of its class, and its text, cut to a few hundred letters.

    Args:
        error: what was raised.
    """
    text = _text(error)[:_LONGEST_SUMMARY].encode(errors="backslashreplace").decode()
    return type(error).__qualname__.replace(" ", "_"), text


def value_of(server: Server, number: int, procedure: str, end: End) -> Any:
    """Answer the result of a process that has ended, or raise what it ended with.

    Raises:
        ProcedureFailed: ONS-2201, it raised; or the exception itself, with this as its cause.
        ProcessAborted: ONS-2203.
        ProcessLost: ONS-2204.
        ProcessDead: ONS-2205.
        ProcessNotFound: ONS-2001, its record has expired.
    """
    return value_at_home(partial(_is_allowed, server), number, procedure, end)


def value_at_home(is_allowed: Callable[[str], bool], number: int, procedure: str, end: End) -> Any:
    """`value_of` for a program that has no server.

    Args:
        is_allowed: whether the exceptions of a module may be made here.
        number: of the process; 0 of a call of a remote client, which is then named by its function.
        procedure: its name.
        end: how it ended.
    """
    if end.state == "done":
        return decode(end.payload) if end.payload else None
    if end.state == "gone":
        raise ProcessNotFound(number)
    facts: Mapping[str, Any] = decode(end.payload) if end.payload else {}
    if end.state == "failed":
        _raise_again(is_allowed, number, procedure, facts)
    if end.state == "dead" and "traceback" in facts:
        failed = _failed(number, procedure, facts)
        raised = f"{failed.remote_type}: {failed.remote_message}" if failed.remote_message else failed.remote_type
        raise ProcessDead(number, 0, reason=f"it raised {raised}", call="" if number else procedure) from failed
    raise _ended_otherwise(end.state, number, "" if number else procedure, facts)


def _ended_otherwise(state: str, number: int, call: str, facts: Mapping[str, Any]) -> Exception:
    worker, reason = str(facts.get("worker") or ""), str(facts.get("reason") or "")
    if state == "lost":
        return ProcessLost(number, worker, reason=reason, call=call)
    if state == "dead":
        return ProcessDead(number, int(facts.get("deliveries") or 0), worker, reason, call)
    return ProcessAborted(number, str(facts.get("by") or ""), reason or str(facts.get("message") or ""), call)


def _failed(number: int, procedure: str, facts: Mapping[str, Any]) -> ProcedureFailed:
    kind, module = _class_of(facts)
    remote = kind if module in {"", "builtins", _OURS} else f"{module}.{kind}"
    return ProcedureFailed(number, procedure, remote, str(facts.get("message", "")), str(facts.get("traceback", "")))


def _class_of(facts: Mapping[str, Any]) -> tuple[str, str]:
    return str(facts.get("type", "Exception")), str(facts.get("module", ""))


def error_at_home(is_allowed: Callable[[str], bool], error: bytes) -> Exception | None:
    """Make the exception again that `error_of` has written; None where its class may not, or cannot, be made here.

    Args:
        is_allowed: whether the exceptions of a module may be made here.
        error: as it was written.
    """
    facts: Mapping[str, Any] = decode(error)
    kind, module = _class_of(facts)
    return _rebuilt(is_allowed, module, kind, facts)


def _raise_again(is_allowed: Callable[[str], bool], number: int, procedure: str, facts: Mapping[str, Any]) -> None:
    failed = _failed(number, procedure, facts)
    kind, module = _class_of(facts)
    original = _rebuilt(is_allowed, module, kind, facts)
    if original is None:
        raise failed
    raise original from failed


def _rebuilt(is_allowed: Callable[[str], bool], module: str, kind: str, facts: Mapping[str, Any]) -> Exception | None:
    arguments: Any = facts.get("args")
    if not isinstance(arguments, list) or not is_allowed(module):
        return None
    found = _class(module, kind)
    if found is None:
        return None
    try:
        return found(*facts["args"])
    except Exception:  # noqa: BLE001  # a class that is made in its own way: `ProcedureFailed` tells all there is
        return None


def _class(module: str, kind: str) -> type[Exception] | None:
    found: object = builtins
    if module != "builtins":
        try:
            found = import_module(module)
        except ImportError:
            return None
    for name in kind.split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, type) and issubclass(found, Exception) else None


def is_among(modules: Iterable[str], module: str) -> bool:
    """Whether exceptions of a module may be made where these modules, and what is in them, are trusted.

    Args:
        modules: beside builtins, onserver's own errors and a project's folders `tasks` and `workers`.
        module: where the class is.
    """
    if module in {"builtins", _OURS} or module.partition(".")[0] in {"tasks", "workers"}:
        return True
    return any(module == name or module.startswith(f"{name}.") for name in modules)


def _is_allowed(server: Server, module: str) -> bool:
    allowed = (*server.settings.process.exception_modules, *server.settings.components)
    return is_among(allowed, module) or _is_of_project(server.project, module.partition(".")[0])


def _is_of_project(project: Path | None, top: str) -> bool:
    """Whether this package lies in the project's folder; nothing is imported to find out."""
    try:
        spec = find_spec(top) if project is not None and top else None
    except (ImportError, ValueError):  # `__main__` has no spec
        return False
    if spec is None or project is None:
        return False
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    path = Path(places[0]).resolve() if places else Path()
    return path.is_relative_to(project) and not any(part in {"site-packages", ".venv"} for part in path.parts)


def _facts(error: BaseException, skip: int) -> dict[str, Any]:
    kind = type(error)
    facts: dict[str, Any] = {
        "type": kind.__qualname__,
        "module": kind.__module__,
        "message": _cut(_text(error), _LONGEST_TEXT),
        "traceback": _trace(error, skip),
    }
    arguments = list(error.args)
    with suppress(NotSendable):  # its class cannot be made again then; `ProcedureFailed` tells what there is
        if len(encode(arguments)) <= _LONGEST_TRACE:
            facts["args"] = arguments
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        facts["cause"] = f"{type(cause).__qualname__}: {_cut(_text(cause), _LONGEST_TEXT)}"
    return facts


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001  # the text of an exception is its author's code, and may fail as well
        return f"(its text cannot be made: {type(broken).__name__})"


def _trace(error: BaseException, skip: int) -> str:
    frames = error.__traceback__
    for _ in range(skip):
        if frames is not None and frames.tb_next is not None:
            frames = frames.tb_next
    try:
        lines = traceback.format_exception(type(error), error, frames)
    except Exception as broken:  # noqa: BLE001  # as above
        lines = [f"(its traceback cannot be made: {type(broken).__name__})"]
    return _cut("".join(lines), _LONGEST_TRACE)


def _cut(text: str, longest: int) -> str:
    """Keep the beginning and, of a traceback more telling, the end."""
    if len(text) <= longest:
        return text
    return f"{text[: longest // 3]}\n… {len(text) - longest} characters left out …\n{text[-(longest - longest // 3) :]}"


def _printable(fact: object) -> object:
    return fact.encode(errors="backslashreplace").decode() if isinstance(fact, str) else fact
