"""A program on loopback that speaks as much S3 as an archive needs; what it holds can be looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

_TIME = "2026-11-26T02:00:00.000Z"


class ObjectStore(ThreadingHTTPServer):
    """Objects by their keys, and uploads that are not complete."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.refuses = 0
        """The status of every answer; 0: what it should be."""

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Answering(BaseHTTPRequestHandler):
    server: ObjectStore
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # its name in the library
        """Tests have their own output."""

    def _asked(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        return unquote(parts.path).removeprefix("/bucket").lstrip("/"), query

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(self.server.refuses or status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", headers.get("length") or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_PUT(self) -> None:
        key, query = self._asked()
        data = self._body()
        if "uploadId" in query:
            self.server.uploads[query["uploadId"]][int(query["partNumber"])] = data
        else:
            self.server.objects[key] = data
        self._answer(200, ETag=_tag(data))

    def do_POST(self) -> None:
        key, query = self._asked()
        body = self._body()
        if "uploads" in query:
            name = f"u{len(self.server.uploads)}-{key}"
            self.server.uploads[name] = {}
            self._answer(200, _xml("InitiateMultipartUploadResult", Bucket="bucket", Key=key, UploadId=name))
        elif "uploadId" in query:
            parts = self.server.uploads.pop(query["uploadId"])
            self.server.objects[key] = b"".join(parts[number] for number in sorted(parts))
            self._answer(200, _xml("CompleteMultipartUploadResult", Key=key, ETag=_tag(self.server.objects[key])))
        else:  # deletes several
            keys = [found.text or "" for found in ET.fromstring(body).iter() if found.tag.endswith("Key")]
            for each in keys:
                self.server.objects.pop(each, None)
            self._answer(200, _xml("DeleteResult", *[_xml("Deleted", Key=each) for each in keys]))

    def do_GET(self) -> None:
        key, query = self._asked()
        if "list-type" in query:
            self._answer(200, self._list(query.get("prefix", ""), query.get("delimiter", "")))
            return
        data = self.server.objects.get(key)
        if data is None:
            self._answer(404, _xml("Error", Code="NoSuchKey"))
            return
        headers = {"ETag": _tag(data), "Last_Modified": formatdate(usegmt=True)}
        wanted = self.headers.get("Range")
        if not wanted or self.command == "HEAD":
            self._answer(200, data, **headers)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        begin, end = int(first), min(int(last or len(data) - 1), len(data) - 1)
        headers["Content_Range"] = f"bytes {begin}-{end}/{len(data)}"
        self._answer(206, data[begin : end + 1], **headers)

    do_HEAD = do_GET  # noqa: N815  # its name in the library

    def do_DELETE(self) -> None:
        key, query = self._asked()
        if "uploadId" in query:
            self.server.uploads.pop(query["uploadId"], None)
        else:
            self.server.objects.pop(key, None)
        self._answer(204)

    def _list(self, prefix: str, delimiter: str) -> bytes:
        found = {key: data for key, data in self.server.objects.items() if key.startswith(prefix)}
        here = [key for key in found if not delimiter or delimiter not in key.removeprefix(prefix)]
        contents = [
            _xml("Contents", Key=key, Size=str(len(found[key])), LastModified=_TIME, ETag=_tag(found[key]))
            for key in sorted(here)
        ]
        return _xml("ListBucketResult", *contents, Name="bucket", Prefix=prefix, IsTruncated="false")


def _tag(data: bytes) -> str:
    return f'"{md5(data).hexdigest()}"'


def _xml(name: str, *inner: bytes, **texts: str) -> bytes:
    root = ET.Element(name)
    for tag, text in texts.items():
        ET.SubElement(root, tag).text = text
    root.extend(ET.fromstring(each) for each in inner)
    return ET.tostring(root)


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Let one run."""
    with ObjectStore() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
