"""Crash points kill exactly the process that was asked for, and do nothing outside of tests."""

import os
import signal
import subprocess
import sys

import pytest

#: Forks five children one after the other; each comes by `step` once, as the role given, and says so if it lives.
PROGRAM = """
import os
from onserver.crash import crash_point, role
for number in range(1, 6):
    if (pid := os.fork()) == 0:
        role("executor" if number > 2 else "supervisor")
        crash_point("other")
        crash_point("step")
        os._exit(0)
    print(os.waitpid(pid, 0)[1], end=" ")
"""


def ends(crash_at: str, testing: str = "1") -> list[int]:
    environ = os.environ | {"ONSERVER_CRASH_AT": crash_at, "ONSERVER_TESTING": testing}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, check=True)
    return [int(status) for status in done.stdout.split()]


@pytest.mark.parametrize(
    ("crash_at", "killed"),
    [
        ("step", [1]),
        ("step:3", [3]),
        ("step:each", [1, 2, 3, 4, 5]),
        ("step@executor", [3]),
        ("step:2@executor", [4]),
        ("step:each@supervisor", [1, 2]),
        ("unknown", []),
        ("step:9", []),
        ("", []),
    ],
)
def test_one_process_of_the_tree_dies_where_it_was_asked_to(crash_at: str, killed: list[int]) -> None:
    assert ends(crash_at) == [signal.SIGKILL if number in killed else 0 for number in range(1, 6)]


def test_nobody_dies_outside_of_tests() -> None:
    assert ends("step:each", testing="") == [0] * 5
