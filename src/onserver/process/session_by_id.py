"""`session_storage()` and `session_info()`: what is known of a session whose id one has."""

from onserver.server import Server
from onserver.session.info import Info, info_of
from onserver.session.session import Session
from onserver.session.storage import Storage


def find_session(server: Server, identity: str) -> Session | None:
    """Answer a session of any kind; None where there is none, or it is over."""
    own = server.session()
    return own if identity and identity == own.id else server.sessions.find(identity)


def session_storage(session_id: str) -> Storage | None:
    """Answer the storage of a session, of which only the id is known.

    Args:
        session_id: 32 upper-case hexadecimal digits.

    Returns:
        Its storage, the same as `session().storage` there; None where there is no such session, or it is over. It does
        not count as used. What is written into the storage of a session that has ended since is refused with
        `SessionExpired`.

    Raises:
        NotConnected: ONS-1005, this program has no server.
        BrokerUnavailable: ONS-1201, Redis gave no answer in time.

    Example:
        >>> shopper = Server.current().sessions.open("web")
        >>> storage = session_storage(shopper.id)
        >>> with storage.use("cart") as cart:
        ...     cart["chair"] = 2
        >>> shopper.storage["cart"]["chair"]
        2

    4D: `Session storage` (specification 2.12), command 1839.
    """
    found = find_session(Server.current(), session_id)
    return None if found is None else found.storage


def session_info(session_id: str) -> Info | None:
    """Answer the facts about a session, of which only the id is known.

    Args:
        session_id: 32 upper-case hexadecimal digits.

    Returns:
        The same as its `info`; None where there is no such session, or it is over.

    Raises:
        NotConnected: ONS-1005, this program has no server.
        BrokerUnavailable: ONS-1201, Redis gave no answer in time.

    Example:
        >>> shopper = Server.current().sessions.open("web", user="ann")
        >>> session_info(shopper.id).user_name
        'ann'

    4D: `Session info` (specification 2.12), command 1844.
    """
    found = find_session(Server.current(), session_id)
    return None if found is None else info_of(found.record)
