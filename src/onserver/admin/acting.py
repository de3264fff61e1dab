"""`POST /act/NAME`: every action there is, from a form or from a program, through the one gate of `onserver.steer`.

| what comes of it | a browser gets | a program gets |
|---|---|---|
| done | its page again, which says so once | 200, what was said, before, after, data |
| something is shown this once | a page with it | 200, and `secret` |
| it has to be confirmed | a page that asks | 409, and what to send |
| somebody else was faster | both values, where the page can show them | 409 |
| the login is too old | the login, and its page again | 403 |
| a privilege is missing, nothing can be changed | 403 | 403 |
| it cannot be done, a field is wrong | its page again, which says why once | 400, 404, 409 or 422 |

Where the first field of an action has several values, as of rows that were chosen, it is done for each; where rows are
chosen and none was, nothing is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from onserver.admin.identity import Asker
from onserver.admin.page import MOST_ROWS, Look, View
from onserver.admin.pages.storage import conflict
from onserver.admin.replies import Replies, as_json, back_to, prefix_of, problem, wants_json
from onserver.admin.writes import Form, writing
from onserver.errors import (
    ActionNotFound,
    ActionRefused,
    AlreadyRunning,
    BadField,
    LockLost,
    LoginTooOld,
    NotConfirmed,
    OnServerError,
    ReachError,
    UserExists,
    VersionConflict,
)
from onserver.steer.actions import ACTIONS, Outcome
from onserver.steer.gate import CONFIRM, perform

#: A field of every form: where the browser goes afterwards.
BACK: Final = "back"
#: A field of forms of which rows are chosen: without one, an action that is done to everything is not meant.
CHOSEN: Final = "chosen"
#: Of actions that two can do at once to one thing: what shows both.
CONFLICTS: Final[Mapping[str, Callable[[Look, Mapping[str, str]], View | None]]] = {"storage.set": conflict}
#: The first that fits decides.
_STATUS: Final[Sequence[tuple[tuple[type[Exception], ...], int]]] = (
    ((BadField,), 400),
    ((ActionRefused, LoginTooOld), 403),
    ((NotConfirmed, VersionConflict, AlreadyRunning, LockLost, UserExists), 409),
    ((ReachError,), 503),
    ((LookupError,), 404),
)


class Acting:
    """The route of the actions.

    Args:
        replies: of the page.
    """

    def __init__(self, replies: Replies) -> None:
        self._replies = replies

    def routes(self) -> list[Route]:
        """Answer the route."""
        return [Route("/act/{name}", self._answer, methods=["POST"], name="act")]

    async def _answer(self, request: Request) -> Response:
        return await writing(self._replies, request, self._acted)

    def _acted(self, request: Request, form: Form) -> Response:
        asker = self._replies.identity.who(request)
        if asker is None:
            return self._replies.nobody(request)
        look, name = self._replies.look(request, asker), request.path_params["name"]
        if form.text(CHOSEN) and not form.text(_first_field(name)):
            return self._nothing(request, look, form)
        try:
            outcomes = [perform(look.server, asker.actor, name, given) for given in _each(name, form)]
        except OnServerError as error:
            return self._not_done(request, asker, look, form, error, name)
        return self._done(request, look, form, outcomes)

    def _nothing(self, request: Request, look: Look, form: Form) -> Response:
        text = look._("Nothing is chosen.")
        if wants_json(request):
            return problem(400, text)
        response = RedirectResponse(back_to(request, prefix_of(request), form.text(BACK)), 303)
        self._replies.say(request, response, "refused", text)
        return response

    def _done(self, request: Request, look: Look, form: Form, outcomes: Sequence[Outcome]) -> Response:
        if wants_json(request):
            told = [_told(outcome) for outcome in outcomes]
            return as_json(told[0] if len(told) == 1 else told)
        last = outcomes[-1]
        said = look._(last.said, **last.values)
        if len(outcomes) > 1:
            said = look.plural("One done.", "{n} done.", len(outcomes)) + " " + said
        back = back_to(request, prefix_of(request), form.text(BACK))
        here = unquote(back.partition("?")[0]).removeprefix(look.prefix)
        there = last.page or next((one.instead[here] for one in outcomes if here in one.instead), "")
        back = (look.link(there) if there else "") or back
        if last.secret:
            view = View("secret.html", {"said": said, "secret": last.secret, "back": back})
            return self._replies.shown(request, view, look)
        response = RedirectResponse(back, 303)
        self._replies.say(request, response, "done", said)
        return response

    def _not_done(
        self, request: Request, asker: Asker, look: Look, form: Form, error: OnServerError, name: str
    ) -> Response:
        if wants_json(request):
            return problem(_status_of(error), f"{error.message} {error.hint}".strip(), error.code)
        back = back_to(request, prefix_of(request), form.text(BACK))
        if isinstance(error, NotConfirmed):
            return self._asked(request, look, form, error, back)
        if isinstance(error, VersionConflict) and name in CONFLICTS:
            view = CONFLICTS[name](look, form.texts)
            if view is not None:
                return self._replies.shown(request, view, look)
        if isinstance(error, LoginTooOld):
            if not asker.logged_in_here:
                return self._replies.told(request, 403, f"{error.message} {error.hint}", asker, code=error.code)
            return RedirectResponse(look.url("/login", again=1, back=back), 303)
        if isinstance(error, ActionNotFound | ActionRefused):
            return self._replies.told(request, _status_of(error), error.message, asker, code=error.code)
        response = RedirectResponse(back, 303)
        self._replies.say(request, response, "refused", f"{error.message} {error.hint}".strip())
        return response

    def _asked(self, request: Request, look: Look, form: Form, error: NotConfirmed, back: str) -> Response:
        """Ask once more, with what would be done."""
        action = ACTIONS[error.action]
        own = (CONFIRM, BACK, CHOSEN)
        fields = [(name, text) for name, texts in form.lists.items() if name not in own for text in texts]
        known = {
            "action": action, "target": error.target, "typed": error.how == "typed", "fields": fields, "back": back,
            "wrong": bool(form.text(CONFIRM)), "given": _in_words(fields),
            "several": any(len(texts) > 1 for texts in form.lists.values()),
        }  # fmt: skip
        return self._replies.shown(request, View("confirm.html", known), look)


def _each(name: str, form: Form) -> Sequence[Mapping[str, str]]:
    """Return the fields, once for each value of the first one.

    Raises:
        BadField: ONS-6005, there are more than a page has rows.
    """
    given = {field: text for field, text in form.texts.items() if field not in (BACK, CHOSEN)}
    first = _first_field(name)
    many = list(dict.fromkeys(form.lists.get(first, [])))
    if len(many) > MOST_ROWS:
        raise BadField(name, first, f"has {len(many)} values, and may have {MOST_ROWS}")
    return [{**given, first: one} for one in many] if len(many) > 1 else [given]


def _first_field(name: str) -> str:
    action = ACTIONS.get(name)
    return action.fields[0].name if action and action.fields else ""


def _in_words(fields: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return what is given, for people: of a field with several values all of them."""
    given: dict[str, list[str]] = {}
    for name, text in fields:
        if text:
            given.setdefault(name, []).append(text)
    return {name: ", ".join(found) for name, found in given.items()}


def _told(outcome: Outcome) -> dict[str, Any]:
    told = {
        "said": outcome.text, "target": outcome.target, "before": outcome.before, "after": outcome.after,
        "data": outcome.data,
    }  # fmt: skip
    return {**told, "secret": outcome.secret} if outcome.secret else told


def _status_of(error: OnServerError) -> int:
    return next((status for kinds, status in _STATUS if isinstance(error, kinds)), 422)
