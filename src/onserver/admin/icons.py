"""A sign and a tone for each state, beside its word: what a state is can be told without colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

#: Word → (sign, tone). Tones are `good`, `busy`, `calm`, `warn`, `bad`; a word that is not here is calm.
STATES: Final[Mapping[str, tuple[str, str]]] = {
    # processes
    "queued": ("⋯", "calm"),
    "delayed": ("◷", "calm"),
    "running": ("▶", "busy"),
    "waiting": ("◐", "warn"),
    "paused": ("‖", "warn"),
    "begun": ("◔", "busy"),
    "done": ("✓", "good"),
    "failed": ("✗", "bad"),
    "aborted": ("⊘", "warn"),
    "lost": ("?", "bad"),
    "dead": ("†", "bad"),
    # the server
    "starting": ("◔", "busy"),
    "stopping": ("◕", "warn"),
    "stopped": ("■", "calm"),
    "maintenance": ("⚒", "warn"),
    "never": ("○", "calm"),
    # members, sessions, connections
    "alive": ("●", "good"),
    "ready": ("●", "good"),
    "idle": ("○", "calm"),
    "busy": ("◉", "busy"),
    "draining": ("◕", "warn"),
    "silent": ("◌", "bad"),
    "gone": ("×", "calm"),
    "active": ("●", "good"),
    "sleeping": ("☾", "calm"),
    "unreachable": ("◌", "warn"),
    "expiring": ("⌛", "warn"),
    "held": ("■", "warn"),
    "free": ("□", "calm"),
    # hooks and backups
    "accepted": ("✓", "good"),
    "returned": ("✓", "good"),
    "vetoed": ("⛔", "bad"),
    "refused": ("⛔", "bad"),
    "timeout": ("⌛", "bad"),
    "verified": ("✓", "good"),
    "unverified": ("○", "warn"),
    "missing": ("?", "bad"),
    "corrupt": ("✗", "bad"),
    # findings
    "ok": ("✓", "good"),
    "good": ("✓", "good"),
    "warning": ("!", "warn"),
    "wrong": ("✗", "bad"),
    "yes": ("✓", "good"),
    "no": ("✗", "calm"),
    "on": ("●", "good"),
    "off": ("○", "calm"),
}
_OTHER: Final = ("•", "calm")


def icon(word: str) -> tuple[str, str]:
    """Return sign and tone of a state.

    Args:
        word: the state, in English.
    """
    return STATES.get(word.lower(), _OTHER)
