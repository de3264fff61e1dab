"""A project that seals its archives, from its settings on: made, verified, shown and restored in whatever folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from onserver.backup import seal


@pytest.fixture
def project(tmp_path: Path) -> Path:
    key = seal.pyrage().x25519.Identity.generate()
    project = tmp_path / "shop"
    for name, text in {
        "config/operators.txt": f"{key.to_public()}\n",
        "secret/key.txt": f"{key}\n",
        "uploads/a.txt": "a",
        "config/onserver.toml": """
            name = "shop"
            [backup]
            seal_to = ["config/operators.txt"]
            identities = ["secret/key.txt"]
            files = ["uploads"]
        """,
    }.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    return project


def onserver(folder: Path, *words: str, status: int = 0) -> str:
    command = [sys.executable, "-m", "onserver.cli", *words]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert told.returncode == status, told.stderr
    return told.stdout


def test_a_sealed_archive_from_making_to_restoring(project: Path) -> None:
    below = project / "uploads"  # not the project's folder: file names in its settings are read from that one on
    onserver(below, "backup", "now")
    (archive,) = (project / "backups").glob("*.onsb")
    assert archive.read_bytes().startswith(seal.AGE_MAGIC)
    assert "loaded into a scratch Redis" in onserver(below, "backup", "verify", "latest")
    onserver(below, "backup", "restore", "latest", "--only", "files", "--yes")
    assert (project / "backups" / archive.stem / "files/project/uploads/a.txt").read_text() == "a"
    (project / "secret" / "key.txt").unlink()
    onserver(below, "backup", "verify", "latest", status=3)  # it is not damaged, it is closed
