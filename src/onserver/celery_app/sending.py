"""How this application makes task messages: callbacks get their ids when they are asked for.

Celery names a callback when its task has ended, so a task that runs twice would start it twice, under two ids. Here the
id is in the message of the task from the start, and the second sending finds the process there.
"""

from collections.abc import Mapping
from typing import Any

from celery.app.amqp import AMQP
from celery.canvas import _chain, maybe_signature
from celery.exceptions import Reject
from celery.utils.functional import maybe_list
from kombu.utils.objects import cached_property

from onserver.celery_app import elsewhere
from onserver.celery_app.permitting import following
from onserver.errors import ReachError

#: Where callbacks are among the arguments of `as_task_v2`, which Celery itself passes by position.
_CALLBACKS = ((11, "callbacks"), (12, "errbacks"))


class NamingAMQP(AMQP):
    """Celery's, with named callbacks."""

    def as_task_v2(self, *args: Any, **kwargs: Any) -> Any:
        """Make the message of a task; see the top of this module."""
        words = list(args)
        for place, name in _CALLBACKS:
            if name in kwargs:
                kwargs[name] = self._named(kwargs[name])
            elif place < len(words):
                words[place] = self._named(words[place])
        return super().as_task_v2(*words, **kwargs)

    def _retry_publish(self, publish: Any, *args: Any, **kwargs: Any) -> Any:
        """Send what follows a task that has ended well; where Redis is out of reach, the task is not failed by that."""
        try:
            with following():
                return super()._retry_publish(publish, *args, **kwargs)
        except ReachError as error:
            raise Reject(error, requeue=True) from error

    def _named(self, signatures: Any) -> Any:
        if not signatures:
            return signatures
        return [self._name(signature) for signature in maybe_list(signatures)]

    def _name(self, signature: Any) -> Any:
        if isinstance(signature, Mapping) and (signature.get("options") or {}).get("task_id"):
            return signature
        named: Any = maybe_signature(signature, app=self.app)
        if isinstance(named, _chain) and not named.tasks:
            return named
        named = named.clone()
        named.freeze()
        return named


class AttachedAMQP(NamingAMQP):
    """For an application that was there before: named callbacks where its messages are records, records beside else."""

    def as_task_v2(self, *args: Any, **kwargs: Any) -> Any:
        """Make the message of a task."""
        if self.app.conf and self.app.desk.elsewhere:
            return AMQP.as_task_v2(self, *args, **kwargs)
        return super().as_task_v2(*args, **kwargs)

    def _retry_publish(self, publish: Any, *args: Any, **kwargs: Any) -> Any:
        if self.app.desk.elsewhere:
            with following():
                return AMQP._retry_publish(self, publish, *args, **kwargs)
        return super()._retry_publish(publish, *args, **kwargs)

    @cached_property
    def send_task_message(self) -> Any:
        """Sends a message, after its record was made."""
        send = self._create_task_sender()

        def send_recorded(producer: Any, name: str, message: Any, *args: Any, **options: Any) -> Any:
            if self.app.desk.elsewhere:
                queue = options.get("queue") or options.get("routing_key") or self.app.conf.task_default_queue
                elsewhere.put(self.app.desk, message[0], str(getattr(queue, "name", queue)), options.get("priority"))
            return send(producer, name, message, *args, **options)

        return send_recorded
