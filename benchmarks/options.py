"""What stands behind the options of the benchmarks."""

import argparse
from collections.abc import Callable, Iterable


def often(text: str) -> int:
    """Read how often something is done: once at least."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} times is nothing: 1 at least")
    return number


def some(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Return what reads names with commas between them, of which all are known."""

    def names(text: str) -> list[str]:
        found = text.split(",")
        for name in found:
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no {name}; there are {', '.join(known)}")
        return found

    return names
