"""A certificate and key that are not in a file, for the ssl module, which reads pairs from files alone."""

import contextlib
import os
import ssl
import tempfile
from pathlib import Path


def load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Give the context this pair (PEM). The file it takes exists for a moment, 0600. Raises ssl.SSLError, OSError."""
    handle, name = tempfile.mkstemp()
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(certificate + b"\n" + key)
        context.load_cert_chain(name)
    finally:
        with contextlib.suppress(OSError):
            Path(name).unlink()
