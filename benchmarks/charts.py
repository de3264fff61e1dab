"""PNG charts of a run, drawn from its JSON file by the environment that has matplotlib: .venv/bench-tools."""

import subprocess
import sys
from pathlib import Path

_PYTHON = Path(sys.prefix) / "bench-tools" / "bin" / "python"
_ROOT = Path(__file__).resolve().parent.parent


def drawn(found: Path) -> list[str]:
    """Draw what is in the JSON file of a run, beside it, and return the paths; none where there is no matplotlib."""
    if not _PYTHON.exists():
        return []
    command = [str(_PYTHON), "-m", "benchmarks.draw", str(found.resolve())]
    said = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    return said.stdout.split()
