"""Calls that type checkers must reject. An ignore that is not needed is an error, so each line shows its own rule."""

from onserver import Backup, SystemEvent, execute_on_server, on_backup_startup, on_system_event, procedure, session


@procedure
def add(x: int, y: int) -> int:
    """Add."""
    return x + y


@procedure
async def fetch(url: str) -> bytes:
    """Fetch."""
    return url.encode()


def wrong() -> None:
    """Each of these is wrong."""
    execute_on_server(fetch, 1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    fetch("x").decode()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    execute_on_server(add, "1", 2)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    execute_on_server(add, 1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    session().storage["rates"] = {}  # type: ignore[index]  # pyright: ignore[reportIndexIssue]


def refuses_by_text(backup: Backup) -> str:
    """No whole number."""
    return backup.label


def hears(event: SystemEvent) -> None:
    """Not told of backups."""
    print(event.name)


on_backup_startup(refuses_by_text)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
on_backup_startup(hears)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
on_system_event(run_on="somewhere")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
