"""Finding the place that a setting names."""

from __future__ import annotations

from pathlib import Path

from onserver.backup.bucket import Bucket
from onserver.backup.folder import Folder
from onserver.backup.place import Place


def place_of(text: str, project: Path) -> Place:
    """Open the place that `backup.folder` names. Nothing is asked of it yet.

    Args:
        text: A folder in the project (it is made when it is first needed), an absolute path (which has to be there, so
            that a disk that is not mounted is noticed), or the URL of a bucket: `s3://…`, `gs://…`, `az://…`.
        project: The project's folder.

    Raises:
        ArchiveNotWritten: ONS-5205, this is no URL of an object store.
        MissingExtra: ONS-1008, a bucket needs the extra `backup`.
    """
    if "://" in text and not text.startswith("file://"):
        return Bucket(text)
    path = Path(text.removeprefix("file://")).expanduser()
    return Folder(path) if path.is_absolute() else Folder(project / path, make=True)
