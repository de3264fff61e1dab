"""The variables of a process: a mapping that it and everybody who has its handle read and write.

They are in Redis beside the record, encoded like arguments, and live as long as it: an ended process is still asked how
far it came. Nobody is told of a change but who waits for one; what `update` writes is seen all at once.
"""

import asyncio
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from time import monotonic
from typing import Any, Final

from onserver.checkpoint import checkpoint
from onserver.errors import NotSendable, ProcessNotFound, VariableTimeout
from onserver.process.hearing import Told, heard
from onserver.process.inbox import End
from onserver.server import Server
from onserver.session.steps import Step, Steps, adrive, drive, refuse_in_loop
from onserver.values import decode, encode

#: What the scripts say of a variable that is not there.
_ABSENT: Final = b"del"


class Variables(MutableMapping[str, Any]):
    """See the top of this module. Each access is one round trip; `copy` and `update` are one for all.

    Example:
        >>> @procedure
        ... def count() -> None:
        ...     process().variables["done"] = 3
        >>> counting = execute_on_server(count)
        >>> counting.wait(timeout=10)
        <State.DONE: 'done'>
        >>> counting.variables["done"]
        3

    4D: `GET PROCESS VARIABLE`, `SET PROCESS VARIABLE` and `VARIABLE TO VARIABLE` (specification 5.7). Reading from an
    unknown process finds nothing, writing to one is an error, as there; values are those that can be sent, whole lists
    among them, and every program may read and write those of every process.
    """

    def __init__(self, server: Server, number: int) -> None:
        self._server = server
        self._number = number
        self._key = server.store.key(f"vars:{number}")

    # -- reading

    def __getitem__(self, name: str) -> Any:
        checkpoint()
        found: bytes | None = self._server.store.command("HGET", self._key, name)
        if found is None:
            raise KeyError(name)
        return decode(found)

    def __contains__(self, name: object) -> bool:
        checkpoint()
        return isinstance(name, str) and bool(self._server.store.command("HEXISTS", self._key, name))

    def __iter__(self) -> Iterator[str]:
        checkpoint()
        return iter(sorted(name.decode() for name in self._server.store.command("HKEYS", self._key)))

    def __len__(self) -> int:
        checkpoint()
        return int(self._server.store.command("HLEN", self._key))

    def copy(self) -> dict[str, Any]:
        """Read all of them at once."""
        checkpoint()
        found = self._server.store.command("HGETALL", self._key)
        return {found[i].decode(): decode(found[i + 1]) for i in range(0, len(found), 2)}

    def items(self) -> ItemsView[str, Any]:
        """Read all of them at once."""
        return self.copy().items()

    def values(self) -> ValuesView[Any]:
        """Read all of them at once."""
        return self.copy().values()

    async def aget(self, name: str, default: Any = None) -> Any:
        """Read one without blocking the loop; `default` where there is none."""
        return await asyncio.to_thread(self.get, name, default)

    async def acopy(self) -> dict[str, Any]:
        """`copy` without blocking the loop."""
        return await asyncio.to_thread(self.copy)

    # -- writing

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self._write(["del", name, b""])

    def clear(self) -> None:
        """Remove all of them."""
        self._write([word for name in self for word in ("del", name, b"")])

    def update(self, given: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **named: Any) -> None:  # type: ignore[override]
        """Write several: all of them or none, seen by others at once.

        Raises:
            ProcessNotFound: ONS-2001, there is no such process, or its record has expired.
            NotSendable: ONS-1106, one of the values cannot be sent, or they are too large. Nothing was written.
        """
        words: list[str | bytes] = []
        for name, value in dict(given, **named).items():
            words += ("set", _checked(name), encode(value, f"Variable {name}"))
        self._refuse_size(words)
        self._write(words)

    async def aset(self, name: str, value: Any) -> None:
        """Write one without blocking the loop."""
        await asyncio.to_thread(self.update, {name: value})

    async def aupdate(self, given: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **named: Any) -> None:
        """`update` without blocking the loop."""
        await asyncio.to_thread(self.update, given, **named)

    # -- waiting

    def wait_for(self, name: str, condition: Callable[[Any], bool] | None = None, timeout: float | None = None) -> Any:
        """Wait until a variable is as wanted, and answer it. Redis tells of each change: nothing is polled.

        Args:
            name: the variable.
            condition: called with each value that it has or gets, until it answers True; by default any value will do.
            timeout: seconds; None waits as long as it takes, or until the process ends.

        Raises:
            VariableTimeout: ONS-2206, it was not so in time, or the process ended first.
            ProcessNotFound: ONS-2001, there is no such process.
            SyncInAsyncError: ONS-2302, in a running event loop; `await variables.await_for(…)` there.

        4D: none; there one polls.
        """
        refuse_in_loop("variables.wait_for(…)", "await variables.await_for(…)")
        return drive(self._awaited(name, condition, timeout))

    async def await_for(self, name: str, condition: Callable[[Any], bool] | None = None) -> Any:
        """`wait_for` without blocking the loop; `asyncio.timeout` limits it."""
        return await adrive(self._awaited(name, condition, None))

    def __repr__(self) -> str:
        return f"<Variables of #{self._number}>"

    # -- the steps

    def _awaited(self, name: str, condition: Callable[[Any], bool] | None, timeout: float | None) -> Steps[Any]:
        began, seen = monotonic(), _ABSENT
        while True:
            end = yield from self._changed(name, seen, None if timeout is None else began + timeout - monotonic())
            if end is None or end.state not in ("set", "del"):
                raise VariableTimeout(self._number, name, monotonic() - began, "" if end is None else end.state)
            seen = _ABSENT if end.state == "del" else b"set " + end.payload
            if end.state == "set":
                value = decode(end.payload)
                if condition is None or condition(value):
                    return value

    def _changed(self, name: str, seen: bytes, left: float | None) -> Steps[End | None]:
        """Wait until the variable is not as seen, or the process has ended, which is no reason not to look again."""

        def look(address: str) -> Any:
            return self._server.store.run("watch_variable", self._number, name, seen, address)

        told = Told(look)
        try:
            end = yield from heard(self._server, told, left, f"variable {name} of #{self._number}")
        except GeneratorExit:
            raise
        except BaseException:
            yield from self._forget(told)
            raise
        if end is None:
            yield from self._forget(told)
        elif end.state not in ("set", "del"):
            answer = yield Step(lambda: look(""))
            end = end if answer is None else End(answer[0].decode(), bytes(answer[1]))
        if end is not None and end.state == "gone":
            raise ProcessNotFound(self._number)
        return end

    def _forget(self, told: Told) -> Steps[None]:
        if told._inbox is not None and told.end is None:
            address = told._inbox.address(told)
            yield Step(lambda: self._server.store.run("unwatch_variable", self._number, address))

    def _write(self, words: list[str | bytes]) -> None:
        checkpoint()
        if words and not self._server.store.run("set_variables", self._number, *words):
            raise ProcessNotFound(self._number)

    def _refuse_size(self, words: list[str | bytes]) -> None:
        size, limit = sum(map(len, words)), self._server.settings.process.max_argument_bytes
        if size > limit:
            problem = f"are {size:,} bytes; at most {limit:,} can be sent"
            advice = "Put them in the storage or a file, or raise `process.max_argument_bytes`."
            raise NotSendable(f"The variables of #{self._number}", problem=problem, advice=advice)


def _checked(name: object) -> str:
    if isinstance(name, str) and name:
        return name
    raise NotSendable(f"The name {name!r} of a variable", problem="is no text", advice="Name it.")
