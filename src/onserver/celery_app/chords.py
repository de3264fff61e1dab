"""Chords: the parts that have ended are a set, kept until the callback was sent.

A part that ends adds itself (`chord_part`); the one that completes the set sends the callback and closes the chord. It
does so before its own process is released, so when it is killed in between it runs again, finds itself in the set, and
sends the callback once more, under the same id: `put` finds that process there. A chord whose header holds groups keeps
the tree of its results (`tree`), so that the callback gets the values in that shape.

Keys: `chord:GROUP`, for as long as results are kept; five minutes once the callback was sent.
"""

from collections.abc import Mapping
from typing import Any

from celery.canvas import _regen, maybe_signature
from celery.exceptions import ChordError, Reject
from celery.result import GroupResult, result_from_tuple
from celery.utils.log import get_logger
from kombu.utils.json import dumps, loads

from onserver.celery_app.desk import Desk
from onserver.celery_app.failures import exception_of
from onserver.errors import ReachError
from onserver.process.inbox import End
from onserver.values import decode, encode

logger = get_logger(__name__)


class Chords:
    """The chords of one application."""

    def __init__(self, desk: Desk, app: Any) -> None:
        self._desk = desk
        self._app = app

    def expect(self, group: str, field: str, value: Any) -> None:
        """Note of a chord its `size`, its `tree`, or that there are so many `more` parts."""
        self._desk.store.run("chord_open", group, field, value, self._keep)

    def expect_tree(self, header: Any) -> None:
        """Keep the shape of the header's results, where it is more than a list of tasks."""
        if isinstance(header[1], _regen):
            return
        result = self._app.GroupResult(*header)
        if any(isinstance(child, GroupResult) for child in result.results):
            self.expect(result.id, "tree", dumps(result.as_tuple()))

    def part_ended(self, request: Any, state: str, payload: bytes) -> list[Any] | None:
        """Count a part; answers the values of all parts where this one is to send the callback.

        Raises:
            ChordError: a part has failed.
        """
        index = request.group_index if request.group_index is not None else ""
        part = encode([state, payload])
        _, _, mine = self._desk.store.run("chord_part", request.group, f"{request.id}:{index}", part, self._keep)
        return self._values(request.group) if mine else None

    def close(self, group: str) -> None:
        """The callback was sent, or never can be."""
        self._desk.store.run("chord_close", group)

    @property
    def _keep(self) -> int:
        return max(60, int(self._desk.settings.process.keep_seconds))

    def _values(self, group: str) -> list[Any]:
        flat: list[bytes] = self._desk.store.command("HGETALL", self._desk.store.key(f"chord:{group}"))
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        parts: dict[tuple[float, int], tuple[str, Any]] = {}
        for place, (name, value) in enumerate(fields.items()):
            if name.startswith(b"p:"):
                identifier, _, index = name[2:].decode().rpartition(":")
                parts[float(index) if index else float("inf"), place] = identifier, self._value(identifier, value)
        values = [value for _, value in sorted(parts.items(), key=lambda part: part[0])]
        if b"tree" in fields:
            tree: Any = result_from_tuple(loads(fields[b"tree"]), self._app)
            return _shaped(tree, dict(values))
        return [value for _, value in values]

    def _value(self, identifier: str, part: bytes) -> Any:
        state, payload = decode(part)
        if state == "done":
            return decode(payload) if payload else None
        error = exception_of(self._desk.server, 0, "", End(state, payload))
        failed = ChordError(f"Dependency {identifier} raised {error!r}")
        failed.__cause__ = error
        raise failed


def _shaped(tree: Any, values: Mapping[str, Any]) -> list[Any]:
    """The values in the shape of the results; parts that were added while it ran come last."""
    left = dict(values)

    def fill(result: Any) -> Any:
        if isinstance(result, GroupResult):
            children: Any = result.results
            return [fill(child) for child in children]
        return left.pop(result.id, None)

    shaped = [fill(child) for child in tree.results]
    return shaped + list(left.values())


def send_callback(chords: Chords, backend: Any, request: Any, state: str, payload: bytes) -> None:
    """What Celery asks of a backend when a part of a chord has ended."""
    app = backend.app
    callback = maybe_signature(request.chord, app=app)
    try:
        values = chords.part_ended(request, state, payload)
        if values is None:
            return
        app.amqp._retry_publish(callback.delay, values)
    except (ReachError, Reject):
        raise  # nothing is known to have gone wrong but the way to Redis: this part runs again
    except ChordError as error:
        logger.error("Chord %s failed: %s", request.group, error)
        backend.chord_error_from_stack(callback, error)
    except Exception as error:
        logger.exception("The callback of chord %s cannot be sent", request.group)
        backend.chord_error_from_stack(callback, ChordError(f"Callback error: {error!r}"))
    chords.close(request.group)
