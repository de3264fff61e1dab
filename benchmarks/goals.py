"""What is to be reached: a *must* and an *aim* beside a figure, as texts that people read and `met` understands.

`≤ 0.8` and `≥ 1,200` are of the figure itself, `≥ 10 x` of how many times better it is than what stands beside it, and
`≥ 1.7 x best` than somebody in particular. Nothing fails for them: a machine that does other things too misses some.
"""

from collections.abc import Mapping


def met(goal: str, value: float, ratios: Mapping[str, float]) -> bool:
    """Whether a goal is reached.

    Args:
        goal: its text.
        value: the figure.
        ratios: how many times better it is, by whom it is compared with; by "" where there is one only.
    """
    sign, text, *rest = goal.split()
    against = " ".join(rest[1:])
    found = ratios.get(against, 0.0) if rest else value
    wanted = float(text.replace(",", ""))
    return found <= wanted if sign == "≤" else found >= wanted


def reached(must: str, aim: str, value: float, ratios: Mapping[str, float]) -> str:
    """Say which of the two is reached: `aim`, `must` or `no`; nothing where there is none."""
    if aim and met(aim, value, ratios):
        return "aim"
    if must:
        return "must" if met(must, value, ratios) else "no"
    return ""
