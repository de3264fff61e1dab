"""The tests of others: source distributions of what is installed here, fetched by the test run.

They are fetched by the ordinary `pip download` from the index that pip is set up for, in the version that is installed,
and kept in a folder of the temporary directory, so that they are fetched once for a machine.
"""

import fcntl
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest

KEPT = Path(tempfile.gettempdir()) / "onserver-sdists"


def fetch(name: str) -> Path:
    """Answer the folder of the source distribution of this package; skip the test where it cannot be had."""
    folder = KEPT / f"{name}-{version(name)}"
    KEPT.mkdir(exist_ok=True)
    with (KEPT / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return folder
        with tempfile.TemporaryDirectory(dir=KEPT) as fresh:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", name, "--dest", fresh]
            done = subprocess.run([*command, f"{name}=={version(name)}"], capture_output=True, text=True, check=False)
            packed = list(Path(fresh).glob("*.tar.gz"))
            if not packed:
                pytest.skip(f"the source distribution of {name} cannot be had: {done.stderr.strip()[-300:]}")
            with tarfile.open(packed[0]) as archive:
                archive.extractall(fresh, filter="data")
            next(path for path in Path(fresh).iterdir() if path.is_dir()).rename(folder)
    return folder
