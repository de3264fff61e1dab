"""Files of privileges and roles that are right, made by Hypothesis: a privilege includes only those before it."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

PRIVILEGES = "abcdef"
_PLACES = [
    ("datastore", "ds", ("create", "read", "update", "drop", "execute")),
    ("dataclass", "A", ("create", "read", "update", "drop", "execute")),
    ("attribute", "A.x", ("create", "read", "update", "drop")),
    ("method", "A.f", ("execute", "promote")),
    ("singleton", "S", ("execute", "promote")),
    ("singletonMethod", "S.f", ("execute", "promote")),
]


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a document."""
    spelled = {name: draw(st.sampled_from([name, name.upper()])) for name in PRIVILEGES}

    def some(known: str, most: int = 4) -> list[str]:
        if not known:
            return []
        return draw(st.lists(st.sampled_from([*known, *known.upper()]), max_size=most))

    privileges = [
        {"privilege": spelled[name], "includes": some(PRIVILEGES[:index])} for index, name in enumerate(PRIVILEGES)
    ]
    allowed = [
        {"applyTo": name, "type": kind, **{action: some(PRIVILEGES, 2) for action in actions if draw(st.booleans())}}
        for kind, name, actions in _PLACES
        if draw(st.booleans())
    ]
    return {
        "privileges": privileges if draw(st.booleans()) else privileges[::-1],
        "roles": [{"role": f"r{index}", "privileges": some(PRIVILEGES)} for index in range(3)],
        "permissions": {"allowed": allowed},
        "restrictedByDefault": draw(st.booleans()),
        "forceLogin": draw(st.booleans()),
    }
