"""An authority of a test's own, and the certificates that it signs: made by the program `openssl`, for two days."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

OPENSSL: Final = shutil.which("openssl") or ""
needs_openssl = pytest.mark.skipif(not OPENSSL, reason="there is no openssl here: scripts/packages.sh installs it")

_AUTHORITY: Final = """
[req]
distinguished_name = name
prompt = no
x509_extensions = authority
[name]
CN = an authority that only the tests have
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""
_SIGNED: Final = """
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


class Authority:
    """It vouches for servers.

    Args:
        folder: where its certificate, and those that it signs, are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        #: What a client has to trust, in PEM.
        self.file = folder / "authority.pem"
        self._key = folder / "authority.key"
        (folder / "authority.cnf").write_text(_AUTHORITY)
        self._run("req", "-x509", "-days", "2", "-config", folder / "authority.cnf", *_NEW_KEY, self._key,
                  "-out", self.file)  # fmt: skip

    def sign(self, name: str, *names: str) -> Path:
        """Make a certificate; answers the file that has it, with its key.

        Args:
            name: of the file.
            names: what it is good for, as in `DNS:localhost` and `IP:127.0.0.1`.
        """
        asked, key, made = (self._folder / f"{name}.{end}" for end in ("csr", "key", "pem"))
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(_SIGNED.format(names=", ".join(names)))
        self._run("req", "-new", "-subj", f"/CN={name}", *_NEW_KEY, key, "-out", asked)
        self._run("x509", "-req", "-days", "2", "-in", asked, "-CA", self.file, "-CAkey", self._key, "-CAcreateserial",
                  "-extfile", extensions, "-out", made)  # fmt: skip
        made.write_text(made.read_text() + key.read_text())
        return made

    def _run(self, *words: str | Path) -> None:
        done = subprocess.run([OPENSSL, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


_NEW_KEY: Final[Sequence[str]] = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout")
