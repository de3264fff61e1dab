"""Archives as nobody should have made them: every part of them can be said."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from onserver.backup.archive import Writer
from onserver.backup.folder import Folder
from onserver.backup.manifest import FORMAT_NAME, MANIFEST_NAME, SUMS_NAME, About, Manifest, Member
from onserver.backup.packing import Packed
from onserver.backup.tape import END

FORMAT = b'{"format":1}\n'


def small(folder: Path, name: str = "Shop[0001].onsb", *, recipients: Sequence[str] = ()) -> Manifest:
    """Write a small archive as it should be."""
    with Writer(Folder(folder), name, recipients=recipients) as writer:
        writer.add_pieces("redis", [b"one", b"two"])
        writer.add_bytes("files/project/note.txt", b"hello")
        writer.add_folder("files/project/empty")
        return writer.finish(About(server="shop", number=1, started=1.5))


def entry(name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, size: int | None = None) -> bytes:
    """One member, with whatever header."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.size = kind, 0o600, len(data) if size is None else size
    info.linkname = "/etc/passwd" if kind in {tarfile.SYMTYPE, tarfile.LNKTYPE} else ""
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8") + data + bytes(-len(data) % 512)


def member(name: str, data: bytes, **other: object) -> Member:
    """What a manifest says of such a member, unless it is to say something else."""
    said = {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "mode": 0o600}
    return msgspec.convert(said | other, Member)


def forge(
    folder: Path,
    parts: Sequence[bytes],
    members: Sequence[Member] = (),
    *,
    form: bytes = FORMAT,
    manifest: bytes | None = None,
    sums: bytes | None = None,
    end: bytes = END,
) -> str:
    """Write an archive of these parts, whose manifest lists these members; answers its name."""
    name = "Forged[0001].onsb"
    outlet = Folder(folder).writing(name)
    packed = Packed(outlet, "fast")
    for part in (entry(FORMAT_NAME, form), *parts):
        packed.write(part)
    packed.begin_frame()
    if manifest is None:
        listed = (member(FORMAT_NAME, form), *members)
        manifest = msgspec.json.encode(Manifest(ended=1.0, about=About(server="shop"), members=listed))
    if manifest:
        packed.write(entry(MANIFEST_NAME, manifest))
        line = f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_NAME}\n".encode()
        packed.write(entry(SUMS_NAME, line if sums is None else sums))
    packed.write(end)
    packed.close()
    outlet.commit()
    return name
