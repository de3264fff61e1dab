"""Notice that the code of a project changed: look at the times of its files, twice a second.

A look at some hundred files takes a millisecond, and needs no thread of another language in a program that forks.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self

#: Seconds between two looks; also how long a burst of writes may last to count as one change.
PAUSE = 0.5

#: The folders of a project that hold code or settings of it.
FOLDERS = ("tasks", "workers", "config")


class Watch:
    """Calls `changed` with the files that changed, from a thread of its own, until it is closed.

    Args:
        project: the project's folder.
        changed: told of them.
        more: folders besides those of the project: of its components.

    Example:
        with Watch(project, print):
            serve()
    """

    def __init__(self, project: Path, changed: Callable[[list[Path]], None], more: Sequence[Path] = ()) -> None:
        self._folders = [*(project / folder for folder in FOLDERS), *more]
        self._changed = changed
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._look, name="onserver-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()

    def _look(self) -> None:
        told = self._times()
        seen = told
        while not self._closed.wait(PAUSE):
            before, seen = seen, self._times()
            if seen == before and seen != told:  # nothing since the last look: an editor has finished writing
                differing = {path for path, _ in told.items() ^ seen.items()}
                told = seen
                self._changed(sorted(differing))

    def _times(self) -> dict[Path, int]:
        return dict(self._files())

    def _files(self) -> Iterator[tuple[Path, int]]:
        for folder in self._folders:
            for path in folder.rglob("*"):
                if path.suffix in {".py", ".toml", ".json"} and path.exists():
                    yield path, path.stat().st_mtime_ns
