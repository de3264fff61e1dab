"""Settling while Redis is away: what has ended well is not run again because it could not be told.

Where the pool's threads share their program with the seat, the seat keeps what is to be said, and it goes with its next
step. A child of a prefork pool asks again until it is heard; its worker's heart ends it where Redis is silent for so
long that the process might be given to another.
"""

from time import sleep
from typing import Final

from celery.utils.log import get_logger

from onserver.celery_app.desk import Desk
from onserver.celery_app.holding import Holding
from onserver.errors import BrokerUnavailable

logger = get_logger(__name__)

_PAUSE_SECONDS: Final = 0.2


def settle_patiently(
    desk: Desk, holding: Holding, number: int, kind: str, state: str, payload: bytes, extra: str
) -> None:
    """Settle a process in the name of its holder, if need be later.

    Raises:
        MemberFenced: the holder was declared dead; what it says is refused.
    """
    told = False
    while True:
        try:
            holding.settle(number, kind, state, payload, extra)
        except BrokerUnavailable as error:
            seat = desk.seat
            if seat is not None and seat.holder == holding.holder:
                seat.settle(number, kind, state, payload, extra)
                return
            if not told:
                logger.warning("#%s has ended, and waits for Redis to say so: %s", number, error)
                told = True
            sleep(_PAUSE_SECONDS)
        else:
            return
