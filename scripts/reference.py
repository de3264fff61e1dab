"""Write the pages of docs/reference/ from the code that they describe: `python -m scripts.reference`, in this folder.

What stands between `<!-- from the code -->` and `<!-- until here -->` of each page is replaced; the words around it are
written by hand. `tests/test_docs.py` fails when a page says something else than the code does.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from inspect import cleandoc
from itertools import groupby
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin

import click

from onserver.admin.metrics import METRICS
from onserver.cli.command import VERBS, onserver
from onserver.errors import NoWorker, OnServerError
from onserver.life.event_kinds import KINDS
from onserver.planned import QueueSettings, ScheduleSettings
from onserver.settings import SETTINGS, Setting, listed
from scripts.reference_python import MODULES, described
from tests.test_errors import EXAMPLES

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
BEGIN, END = "<!-- from the code -->", "<!-- until here -->"

#: Headings of the errors by the first digits of their codes.
GROUPS = {
    10: "Project and settings", 11: "Calling a procedure", 12: "Reaching Redis", 20: "Processes", 21: "Processes",
    22: "Processes", 23: "Processes", 24: "Members", 31: "Storage", 41: "Sessions and callers", 52: "Backups",
    53: "Hooks", 60: "Admin page",
}  # fmt: skip
#: Errors whose codes are taken and which nothing raises in this release, with what will.
RESERVED: dict[str, str] = {}
SECTIONS = {
    "": "The server and its Redis", "member": "Members", "process": "Processes", "storage": "Storage",
    "worker": "Workers", "hook": "Hooks", "events": "Events", "signing": "Signatures", "session": "The session",
    "backup": "Backups", "web": "Web sessions", "remote": "Remote clients", "admin": "The admin page",
}  # fmt: skip
#: Tables whose names are the project's own.
NAMED_TABLES = (
    ("Schedules", "One table `[schedule.NAME]` for each; see [schedules](../how-to/schedule.md).", ScheduleSettings),
    ("Queues", "One table `[queue.NAME]` for each that has a limit; see [limits](../how-to/limits.md).", QueueSettings),
)
_KINDS: dict[Any, str] = {bool: "true or false", int: "integer", float: "number", str: "text"}
_TYPES: dict[type, str] = {bool: "true or false", int: "integer", float: "number", str: "text", list: "list of texts"}
_ORIGINS: dict[Any, str] = {tuple: "list of texts", dict: "tables", UnionType: "list or table"}


# ---- errors


def errors() -> Iterator[str]:
    """Describe every error of the tree, by code."""
    examples: dict[type[Any], list[str]] = {}
    for error, _ in EXAMPLES:
        known: OnServerError | NoWorker = error
        examples.setdefault(type(known), []).append(str(known))
    ordered = sorted(examples, key=lambda kind: int(kind.code))
    for group, kinds in groupby(ordered, key=lambda kind: GROUPS[kind.code // 100]):
        yield from ("", f"## {group}")
        for kind in kinds:
            yield from _error(kind, examples[kind])


def _error(kind: type[OnServerError | NoWorker], texts: list[str]) -> Iterator[str]:
    builtin = next((base.__name__ for base in kind.__mro__ if _is_worth_catching(base)), "")
    article = "an" if builtin[:1] in set("AEIO") else "a"
    also = f" It is also {article} `{builtin}`." if builtin else ""
    facts = f" Facts: {', '.join(f'`{name}`' for name in kind._names)}." if kind._names else ""
    later = RESERVED.get(kind.__name__)
    reserved = f" Nothing raises it in this release: it comes with {later}." if later else ""
    yield from ("", f"### ONS-{kind.code}", "")
    yield f"`{kind.__name__}`. {' '.join((kind.__doc__ or '').split())}{also}{facts}{reserved}"
    for text in texts:
        yield ""
        yield from (f"> {line}".rstrip() for line in text.splitlines())


def _is_worth_catching(base: type[Any]) -> bool:
    too_wide = {"Exception", "BaseException", "object", "OSError", "Warning"}
    return base.__module__ == "builtins" and base.__name__ not in too_wide


# ---- settings


def settings() -> Iterator[str]:
    """Describe every setting, by section."""
    for section, found in groupby(SETTINGS.values(), key=lambda setting: setting.key.rpartition(".")[0]):
        yield from ("", f"## {SECTIONS[section]}", "", "| setting | type | default | meaning |", "|---|---|---|---|")
        for setting in found:
            yield f"| `{setting.key}` | {_kind(setting)} | {_default(setting)} | {setting.meaning} |"
    for heading, text, kind in NAMED_TABLES:
        yield from ("", f"## {heading}", "", text, "", "| key | type | default | meaning |", "|---|---|---|---|")
        for setting in listed("", kind):
            default = "none: it has to be there" if setting.default is None else _default(setting)
            yield f"| `{setting.key}` | {_kind(setting)} | {default} | {setting.meaning} |"


def _kind(setting: Setting) -> str:
    plain, meta = get_args(setting.type)
    origin = get_origin(plain)
    words = " or ".join(map(repr, get_args(plain))) if origin is Literal else _ORIGINS.get(origin) or _KINDS[plain]
    least = f"at least {meta.ge:,g}" if meta.ge is not None else f"above {meta.gt:,g}" if meta.gt is not None else ""
    most = f"at most {meta.le:,}".removesuffix(".0") if meta.le is not None else ""
    return ", ".join(filter(None, (words, least, most)))


def _default(setting: Setting) -> str:
    value = setting.default
    if value is None:
        return "the folder's name"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int | float):
        return f"`{int(value) if value == int(value) else value}`"
    return "empty" if value in ("", (), [], {}) else f"`{value}`"


# ---- the command line


def commands() -> Iterator[str]:
    """Describe every verb, in the order in which a newcomer needs them."""
    context = click.Context(onserver, info_name="onserver")
    for verb in VERBS:
        command = onserver.get_command(context, verb)
        if command is not None:
            yield from _command(command, click.Context(command, parent=context, info_name=verb), 2)


def _command(command: click.Command, context: click.Context, level: int) -> Iterator[str]:
    yield from ("", f"{'#' * level} {context.command_path}", "", "```text")
    usage = context.command_path + " " + " ".join(command.collect_usage_pieces(context))
    yield from (usage, "```", "")
    yield cleandoc(command.help or "")
    rows = [_option(option) for option in command.params if isinstance(option, click.Option) and _is_own(option)]
    if rows:
        yield from ("", "| option | does |", "|---|---|", *rows)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                yield from _command(child, click.Context(child, parent=context, info_name=name), level + 1)


def _is_own(option: click.Option) -> bool:
    """Whether it is an option of this verb; those that every verb has are described once, by hand."""
    return option.name not in {"project", "json", "quiet", "verbose"}


def _option(option: click.Option) -> str:
    value = "" if option.is_flag else f" {option.metavar or 'N'}"
    kind = option.type
    span = f" ({kind.min} to {kind.max})" if isinstance(kind, click.IntRange) and kind.max is not None else ""
    default = f" ({option.default:g} by default)" if isinstance(option.default, float) else ""
    return f"| `{', '.join(option.opts)}{value}` | {option.help}{span}{default} |"


# ---- events


def events() -> Iterator[str]:
    """Describe every event, by code."""
    for kind in KINDS:
        yield from ("", f"## {kind.code} {kind.name}", "")
        about = f"a {kind.scope}" if kind.scope != "cluster" else "the cluster"
        yield f"{kind.meaning[0].upper()}{kind.meaning[1:]}. About {about}."
        yield from ("", "| field | type | says |", "|---|---|---|")
        for name, (type_, meaning) in kind.fields.items():
            yield f"| `{name}` | {_TYPES[type_]} | {meaning} |"


# ---- metrics


def metrics() -> Iterator[str]:
    """Describe every metric, in the order in which they are answered."""
    yield from ("", "| metric | type | labels | is |", "|---|---|---|---|")
    for name, told in METRICS.items():
        labels = ", ".join(f"`{label}`" for label in ("server", *told.labels))
        yield f"| `{name}` | {told.type} | {labels} | {told.text} |"


# ---- the pages

PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "errors": errors, "settings": settings, "cli": commands, "events": events, "metrics": metrics,
    **{name: partial(described, module) for name, module in MODULES.items()},
}  # fmt: skip


def page(name: str) -> str:
    """Return a page as it has to be: what was written by hand, and the code's part anew."""
    before, _, rest = (PAGES / f"{name}.md").read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n{chr(10).join(PARTS[name]()).rstrip()}\n\n{END}{after}"


def main() -> int:
    """Write all pages."""
    for name in PARTS:
        (PAGES / f"{name}.md").write_text(page(name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
