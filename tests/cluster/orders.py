"""What the tests of orders know of `orders_project.py`, the tasks of their clusters."""

from __future__ import annotations

from pathlib import Path

from onserver import procedure

TASKS = (Path(__file__).parent / "orders_project.py").read_text()
ASYNC_TASKS = (Path(__file__).parent / "orders_async_project.py").read_text()


@procedure(name="jobs.quick")
def quick(n: int) -> int:
    """Stands for the project's procedure of that name, which this program does not load: for its options."""
    raise NotImplementedError(n)
