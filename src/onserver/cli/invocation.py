"""One run of the command: which project it is for, and how it prints. Its options stand before or after the verb."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from onserver.cli import words
from onserver.cli.screen import Screen
from onserver.server import Server
from onserver.settings import find_project

F = TypeVar("F", bound=Callable[..., Any])


class Invocation:
    """What the common options said; every verb gets it as its first argument."""

    def __init__(self) -> None:
        self.screen = Screen()
        self.explicit: Path | None = None
        self._project: Path | None = None
        self._server: Server | None = None

    @property
    def project(self) -> Path:
        """The project's folder: `--project`, ONSERVER_PROJECT, or the nearest one upwards; told if it is another.

        Raises:
            ProjectNotFound: There is none.
        """
        if self._project is None:
            self._project = find_project(explicit=self.explicit)
            if self._project.resolve() != Path.cwd():
                self.screen.say(f"project {self._project}")
        return self._project

    def server(self) -> Server:
        """The server of the project, which becomes this program's current one.

        Raises:
            ProjectNotFound: There is none.
        """
        if self._server is None:
            self._server = Server.load(self.project)
        return self._server


class Seconds(click.ParamType[float]):
    """A length of time on the command line: `90`, `250ms`, `30s`, `10m`, `2h`, `1d`."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or fail with the forms that it may have."""
        if isinstance(value, int | float):
            return float(value)
        try:
            return words.seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


SECONDS = Seconds()


def _noting(note: Callable[[Invocation, Any], None]) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, _parameter: click.Parameter, given: Any) -> None:
        if given:
            note(context.ensure_object(Invocation), given)

    return callback


def _project(invocation: Invocation, folder: str) -> None:
    invocation.explicit = Path(folder)


def _json(invocation: Invocation, _given: bool) -> None:
    invocation.screen.json = True


def _quiet(invocation: Invocation, _given: bool) -> None:
    invocation.screen.quiet = True


def _verbose(invocation: Invocation, _given: bool) -> None:
    invocation.screen.verbose = True


def common_options(command: F) -> F:
    """Add the options that every verb and the command itself have."""
    options = (
        click.option("--project", metavar="DIR", expose_value=False, callback=_noting(_project),
                     help="The project's folder, instead of the nearest one upwards."),
        click.option("--json", is_flag=True, expose_value=False, callback=_noting(_json),
                     help="Print one JSON object."),
        click.option("-q", "--quiet", is_flag=True, expose_value=False, callback=_noting(_quiet),
                     help="Print the result and errors only."),
        click.option("-v", "--verbose", is_flag=True, expose_value=False, callback=_noting(_verbose),
                     help="Print more of what goes on."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


pass_invocation = click.make_pass_decorator(Invocation, ensure=True)
