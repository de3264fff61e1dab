"""The result backend: state and result are in the record of the process, and storing them is how it ends.

Where nothing follows the store, it is the end: state, result, release and the word to whoever waits are one script
(`end`). Where something follows, the process stays held until its message is acknowledged (`store`, then `free`), so
that it runs again if its worker dies in between:

    part of a chord             it is counted after the store
    failed, with a chain        what comes behind it in the chain is marked as failed
    failed, with errbacks       they are called
    to be retried               it is queued again when it is released, under the same number

An id without a process (a step of a chain that will never be sent) has a *note*, which is kept as long as a result.
"""

from collections.abc import Iterator
from time import monotonic
from typing import Any

from billiard.exceptions import TimeLimitExceeded
from celery import states
from celery.app.backends import by_url
from celery.backends.base import BaseBackend
from celery.exceptions import Reject
from celery.exceptions import TimeoutError as CeleryTimeout
from celery.result import result_from_tuple
from celery.utils.log import get_logger
from kombu.exceptions import EncodeError
from kombu.utils.json import dumps, loads

from onserver.celery_app.awaiting import Batch
from onserver.celery_app.chords import Chords, send_callback
from onserver.celery_app.desk import Desk, desk_of
from onserver.celery_app.failures import stored_error
from onserver.celery_app.holding import holding_of, mark_of
from onserver.celery_app.meta import FINAL, STORED, Row, ended, meta_of
from onserver.celery_app.patience import settle_patiently
from onserver.celery_app.task import ProcedureTask, timeout_of
from onserver.errors import NotSendable, ReachError
from onserver.process.attempts import say_attempt
from onserver.session.running import ending, running
from onserver.values import encode

logger = get_logger(__name__)

_KNOWN = frozenset({"status", "result", "traceback", "date_done", "task_id"})


class Backend(BaseBackend):
    """See the top of this module."""

    supports_native_join = True
    supports_autoexpire = True
    persistent = True

    def __init__(self, app: Any, url: str | None = None, **kwargs: Any) -> None:
        super().__init__(app, url=url, **kwargs)
        self.desk: Desk = getattr(app, "desk", None) or desk_of(app.connection_for_read())
        self._chords = Chords(self.desk, app)
        self._also: Any = None
        if self.desk.results_also:
            made, address = by_url(self.desk.results_also, app.loader)
            self._also = made(app=app, url=address)

    def as_uri(self, include_password: bool = False) -> str:  # never included
        """Where results are, for people."""
        return f"onserver+{self.desk.store.address.describe()}"

    # -- how a task stands is said by whoever runs it

    def encode_result(self, result: Any, state: str) -> Any:
        """Leave exceptions as they are: the record keeps type, arguments and traceback by itself."""
        return result if state in self.EXCEPTION_STATES else self.prepare_value(result)

    def mark_as_done(
        self, task_id: str, result: Any, request: Any = None, store_result: bool = True, state: str = states.SUCCESS
    ) -> None:
        """End a task well. With `ignore_result` its state is kept, and its result is not."""
        if store_result and not (request is not None and request.ignore_result):
            self.store_result(task_id, result, state, request=request)
        elif self._own(task_id, request):
            self.store_result(task_id, None, state, request=request)
        if request and request.chord:
            self.on_chord_part_return(request, state, result)

    def mark_as_failure(
        self, task_id: str, exc: BaseException, traceback: Any = None, request: Any = None,
        store_result: bool = True, call_errbacks: bool = True, state: str = states.FAILURE,
    ) -> None:  # fmt: skip
        """End a task badly. With `ignore_result` its error is kept all the same, for the one who looks for it."""
        if isinstance(exc, TimeLimitExceeded) and isinstance(self.app.tasks.get(request.task), ProcedureTask):
            exc = timeout_of(request) or exc
        store_result = store_result or self._own(task_id, request)
        super().mark_as_failure(task_id, exc, traceback, request, store_result, call_errbacks, state)

    def mark_as_revoked(
        self, task_id: str, reason: str = "", request: Any = None, store_result: bool = True,
        state: str = states.REVOKED,
    ) -> None:  # fmt: skip
        """End a task that was revoked or has expired."""
        super().mark_as_revoked(task_id, reason, request, store_result or self._own(task_id, request), state)

    def _own(self, task_id: str, request: Any) -> bool:
        return mark_of(request) is not None and getattr(request, "id", None) == task_id

    def _store_result(
        self, task_id: str, result: Any, state: str, traceback: Any = None, request: Any = None, **kwargs: Any
    ) -> Any:
        self._store_also(task_id, result, state, traceback, request)
        stored = STORED.get(state, "running")
        payload = self._payload(result, state, traceback)
        extras = self._extras(result, state, traceback, request)
        if self._own(task_id, request):
            if state == states.RETRY:
                stored = say_attempt(request.retries + 1, result if isinstance(result, BaseException) else None, None)
            self._settle(request, state, stored, payload, extras)
        else:
            field = "e" if state in self.EXCEPTION_STATES else "r"
            words = (self.desk.key_of(str(task_id)), stored, field, payload, extras, self._keep(state))
            self.desk.store.run("note", *words)
        return result

    def _store_also(self, task_id: str, result: Any, state: str, traceback: Any, request: Any) -> None:
        """Write to the backend that the application had before; what goes wrong there ends no task."""
        if self._also is None:
            return
        try:
            self._also.store_result(task_id, result, state, traceback=traceback, request=request)
        except Exception:
            logger.exception("the result of %s is not in %s", task_id, self._also.as_uri())

    def _settle(self, request: Any, state: str, stored: str, payload: bytes, extras: str) -> None:
        mark = mark_of(request)
        assert mark is not None
        kind = "end" if stored in FINAL and not self._something_follows(request, state) else "store"
        kind = "retry" if state == states.RETRY else kind
        run = running()
        if run is not None and stored in FINAL:
            ending(run)
        holding = holding_of(mark, self.desk.store, self.desk.settings)
        try:
            settle_patiently(self.desk, holding, int(mark["number"]), kind, stored, payload, extras)
        except ReachError as error:
            # any other exception would make Celery's tracer call a task failed that has ended well
            raise Reject(error, requeue=True) from error

    def _something_follows(self, request: Any, state: str) -> bool:
        return bool(request.chord or (state != states.SUCCESS and (request.chain or request.errbacks)))

    def _payload(self, result: Any, state: str, traceback: Any = None) -> bytes:
        if state in self.EXCEPTION_STATES:
            return stored_error(result, traceback) if isinstance(result, BaseException) else b""
        if state != states.SUCCESS or result is None:
            return b""
        try:
            payload = encode(result, "Result")
        except NotSendable as refusal:
            payload = self._through_json(result, refusal)
        most = self.desk.settings.process.max_result_bytes
        if len(payload) > most:
            raise EncodeError(f"the result has {len(payload)} bytes, the limit `process.max_result_bytes` is {most}")
        return payload

    def _through_json(self, result: Any, refusal: NotSendable) -> bytes:
        """Celery's JSON knows a few things more (objects with `__json__`); what it makes of them can be sent."""
        try:
            return encode(loads(dumps(result)), "Result")
        except (TypeError, ValueError):
            raise EncodeError(str(refusal)) from refusal

    def _extras(self, result: Any, state: str, traceback: Any, request: Any) -> str:
        meta = self._get_result_meta(result=None, state=state, traceback=traceback, request=request)
        extras = {name: value for name, value in meta.items() if name not in _KNOWN and value}
        if state == states.RETRY:
            extras["status"] = state
        elif state not in STORED:
            extras.update(status=state, result=result)
        return str(dumps(extras))

    def _keep(self, state: str) -> int:
        process = self.desk.settings.process
        kept = process.keep_seconds if state == states.SUCCESS else process.keep_failed_seconds
        return max(1, int(kept))

    # -- and read by whoever asks

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        rows = self.desk.store.run("celery_results", "", self.desk.key_of(str(task_id)), "")
        return meta_of(self.desk.server, str(task_id), Row.read(rows[0]), self._task_modules())

    def meta_from_decoded(self, meta: dict[str, Any]) -> dict[str, Any]:
        """Metas are made of Python objects already."""
        return meta

    def _task_modules(self) -> frozenset[str]:
        return frozenset(type(task).__module__ for task in self.app.tasks.values())

    def wait_for(
        self, task_id: str, timeout: float | None = None, interval: float = 0.5, no_ack: bool = True,
        on_interval: Any = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Wait for the end of one task, of which the inbox tells.

        Raises:
            celery.exceptions.TimeoutError: it has not ended after `timeout` seconds.
        """
        return next(meta for _, meta in self._ends([task_id], timeout, interval, on_interval, whole=True))

    def wait_for_pending(
        self, result: Any, timeout: float | None = None, interval: float = 0.5, no_ack: bool = True,
        on_message: Any = None, on_interval: Any = None, callback: Any = None, propagate: bool = True,
    ) -> Any:  # fmt: skip
        """Wait for the end of one task and answer its result or raise its exception."""
        self._ensure_not_eager()
        meta = self.wait_for(result.id, timeout, interval, no_ack, on_interval)
        if on_message is not None:
            on_message(meta)
        result._maybe_set_cache(meta)
        return result.maybe_throw(propagate=propagate, callback=callback)

    def get_many(
        self, task_ids: Any, timeout: float | None = None, interval: float = 0.5, no_ack: bool = True,
        on_message: Any = None, on_interval: Any = None, **kwargs: Any,
    ) -> Iterator[tuple[str, dict[str, Any]]]:  # fmt: skip
        """Yield id and meta of each task as it ends; the metas hold status and result only."""
        for task_id, meta in self._ends(list(task_ids), timeout, interval, on_interval, whole=False):
            if on_message is not None:
                on_message(meta)
            yield task_id, meta

    def _ends(
        self, task_ids: list[str], timeout: float | None, interval: float | None, on_interval: Any, *, whole: bool
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        deadline = None if timeout is None else monotonic() + timeout
        batch, left = Batch(self.desk, task_ids), len(set(task_ids))
        while left:
            step = interval or 0.5
            turn = step if deadline is None else min(step, max(0.0, deadline - monotonic()))
            for task_id, end, number in batch.ends(turn):
                left -= 1
                meta = self._get_task_meta_for(task_id) if whole else None
                if meta is None or meta["status"] not in self.READY_STATES:
                    meta = ended(self.desk.server, task_id, number, end, self._task_modules())
                yield task_id, meta
            if left and deadline is not None and monotonic() >= deadline:
                raise CeleryTimeout("The operation timed out.")
            if left and on_interval:
                on_interval()

    def _forget(self, task_id: str) -> None:
        self.desk.store.run("forget", self.desk.key_of(str(task_id)))

    # -- groups

    def _save_group(self, group_id: str, result: Any) -> Any:
        text = dumps({"result": result.as_tuple()})
        self.desk.store.run("save_group", group_id, text, self._keep(states.SUCCESS))
        return result

    def _restore_group(self, group_id: str) -> dict[str, Any] | None:
        text = self.desk.store.command("GET", self.desk.store.key(f"group:{group_id}"))
        if text is None:
            return None
        return {"result": result_from_tuple(loads(text)["result"], self.app)}

    def _delete_group(self, group_id: str) -> None:
        self.desk.store.run("forget_group", group_id)

    # -- chords

    def apply_chord(self, header_result_args: Any, body: Any, **kwargs: Any) -> None:
        """A chord is about to be sent: keep the shape of its header where that is needed."""
        self._chords.expect_tree(header_result_args)

    def set_chord_size(self, group_id: str, chord_size: int) -> None:
        """Keep how many parts a chord has."""
        self._chords.expect(group_id, "size", chord_size)

    def add_to_chord(self, chord_id: str, result: Any) -> None:
        """A running part has added one more."""
        self._chords.expect(chord_id, "more", 1)

    def on_chord_part_return(self, request: Any, state: str, result: Any, **kwargs: Any) -> None:
        """A part has ended; the one that completes the chord sends its callback."""
        if not request.group or not request.id:
            return
        payload = self._payload(self.encode_result(result, state), state)
        send_callback(self._chords, self, request, STORED[state], payload)
