"""How much memory a TLS connection of asyncio's takes."""

from asyncio import sslproto

_BYTES = 32 * 1024  # two records: asyncio's 256 KiB for each connection would be most of what an idle program takes


def small() -> None:
    """Let connections that are made from now on read through small buffers."""
    sslproto.SSLProtocol.max_size = _BYTES
