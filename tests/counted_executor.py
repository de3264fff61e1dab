"""An executor whose steps of Python are counted: `python -m tests.counted_executor SOCKET`, which prints JSON.

It runs the real loop of an executor (claim, run, settle) on a real Redis, in this program, where nothing else runs.
What is counted between one run of a body and the next is the same on each day and each machine: the instructions of
Python's virtual machine, and the calls of functions, those in C too. They differ between versions of Python.
"""

import json
import statistics
import sys
import warnings
from itertools import product
from math import inf
from types import FrameType
from typing import Any

from onserver.errors import NoWorker
from onserver.life import page as pages
from onserver.life.executor import Executor
from onserver.life.page import Page
from onserver.process.declare import procedure
from onserver.redis.address import unix_address
from tests.floor import open_floor

RUNS = 40


class Counted:
    """What was counted, and what it was at each run of the body."""

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}
        self.at: list[dict[str, int]] = []

    def trace(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        """Count instructions (for `sys.settrace`)."""
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        name = f"{frame.f_globals.get('__name__', '')}.{frame.f_code.co_qualname}"

        def opcode(_frame: FrameType, event: str, _argument: Any) -> Any:
            if event == "opcode":
                self.steps[name] = self.steps.get(name, 0) + 1
            return opcode

        return opcode

    def profile(self, _frame: FrameType, event: str, _argument: Any) -> None:
        """Count calls (for `sys.setprofile`)."""
        if event in ("call", "c_call"):
            self.steps[event] = self.steps.get(event, 0) + 1

    def one(self) -> dict[str, int]:
        """What a process takes: the median of those between two runs of the body, by name."""
        spans = list(zip(self.at[2:], self.at[3:], strict=False))
        names = [name for name in self.at[-1] if not name.startswith(__name__)]
        return {
            name: int(statistics.median(after[name] - before.get(name, 0) for before, after in spans if name in after))
            for name in names
        }


counted = Counted()
page = Page()


@procedure(name="counted.noop")
def noop(number: int) -> int:
    """Note what was counted until now; the last one drains its executor."""
    counted.at.append(dict(counted.steps))
    if number == RUNS - 1:
        page.drain()
    return number


def main(socket: str) -> dict[str, dict[str, dict[str, int]]]:
    """Run the same processes again and again, and count another thing each time.

    Whether a run is short, and the next one is claimed ahead, is not left to the clock: what counts takes its time.
    """
    found: dict[str, dict[str, dict[str, int]]] = {"in turn": {}, "ahead": {}}
    counts = (("instructions", sys.settrace), ("calls", sys.setprofile))
    with open_floor(unix_address(socket)) as floor:
        for (way, short), (what, install) in product((("in turn", -1.0), ("ahead", inf)), counts):
            pages._SHORT_SECONDS = short
            counted.steps, counted.at = {}, []
            page.__init__()  # type: ignore[misc]  # not drained any more
            floor.many(noop, [(number,) for number in range(RUNS)])
            holder = floor.member.enlist(floor.code.digest, ["default"])
            executor = Executor(floor.server, holder, page, floor.code.digest, ["default"])
            install(counted.trace if what == "instructions" else counted.profile)
            try:
                executor.run()
            finally:
                install(None)
            found[way][what] = counted.one()
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore", NoWorker)  # the processes are there before the executor
    sys.stdout.write(json.dumps(main(sys.argv[1])) + "\n")
