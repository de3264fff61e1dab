"""Acknowledging: what a message's `ack` and `reject` mean for the process that it is."""

from typing import Any

from kombu.transport import virtual

from onserver.values import encode

#: The error of a process whose message the pool refused for good (`Reject`, an unknown task, an invalid message).
REFUSED = encode(
    {"type": "Reject", "module": "celery.exceptions", "message": "the message was refused", "args": [], "traceback": ""}
)


class QoS(virtual.QoS):
    """Counts what the pool has, and settles it. Nothing is put back at exit: what is held falls with its holder."""

    restore_at_shutdown = False

    def can_consume(self) -> bool:
        """Whether the pool has a free place."""
        return self.free() > 0

    def free(self) -> int:
        """How many more processes the pool can begin now."""
        seat = self.channel.seat
        if seat is None:
            return 1
        return max(0, (self.prefetch_count or 1) - len(seat.running))

    def ack(self, delivery_tag: Any) -> None:
        """Release the process; where its end was stored with the release already, this says nothing new."""
        super().ack(delivery_tag)
        self._settle(delivery_tag, "free")

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        """Hand the process back, or end it as failed."""
        super().ack(delivery_tag)
        if requeue:
            seat = self.channel.seat
            lost = seat is not None and str(delivery_tag).isdigit() and int(delivery_tag) in seat.lost
            self._settle(delivery_tag, "back", extra="counted" if lost else "begun")
        else:
            self._settle(delivery_tag, "end", "failed", REFUSED, "{}")

    def _settle(self, tag: Any, kind: str, state: str = "", payload: bytes = b"", extra: str = "") -> None:
        seat = self.channel.seat
        if seat is not None and str(tag).isdigit():
            seat.settle(int(tag), kind, state, payload, extra)

    def restore_unacked_once(self, stderr: Any = None) -> None:  # Kombu's signature
        """Forget what was delivered through this channel; the seat still holds it."""
        self._on_collect.cancel()
        self._delivered.clear()
