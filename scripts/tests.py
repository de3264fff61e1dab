"""Run pytest; the few that fail are run once more, alone: `make test` and `make test-long` run this.

Most tests start real servers with a lease of two seconds, and kill or freeze them; on a machine that is busy with
something else for as long, one of five thousand may fail for no reason of ours. A fault fails twice, and so does the
whole run. What failed once is named at the end as unsteady: it wants to be mended all the same.

Exit status: that of pytest; 0 as well when all that failed, `MANY` at most, passed the second time.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: pytest's list of what failed when it ran last.
FAILED = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
#: With more failed tests than these it is no accident.
MANY = 5
TESTS_FAILED = 1  # pytest's exit status, and its only one that is about tests


def main(arguments: list[str]) -> int:
    """Run the tests.

    Args:
        arguments: pytest's; those that choose how many run side by side go first, before `--`.
    """
    at = arguments.index("--") if "--" in arguments else 0
    side_by_side, others = arguments[:at], arguments[at + ("--" in arguments) :]
    if any(word.startswith(("--lf", "--last-failed", "--ff", "--failed-first", "--nf")) for word in others):
        return pytest([*side_by_side, *others])  # whoever asks for what has failed decides what runs again
    FAILED.unlink(missing_ok=True)
    status = pytest([*side_by_side, *others])
    failed = sorted(json.loads(FAILED.read_text())) if status == TESTS_FAILED and FAILED.exists() else []
    if not 0 < len(failed) <= MANY:
        return status
    print(f"\n{len(failed)} failed; once more, alone.\n", flush=True)
    again = pytest([*others, "--last-failed", "--last-failed-no-failures=none"])
    if not again:
        print("\nAll passed the second time. Unsteady, to be mended:", *failed, sep="\n  ", flush=True)
    return again


def pytest(arguments: list[str]) -> int:
    """Run pytest as a program of its own, and answer its exit status."""
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
