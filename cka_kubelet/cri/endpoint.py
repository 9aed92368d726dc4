"""`unix:///run/containerd/containerd.sock` → the socket's path."""

from urllib.parse import unquote, urlsplit


def socket_path(endpoint: str) -> str:
    """The path of a unix socket endpoint; a bare path is the deprecated form and accepted, as upstream accepts it.

    Raises ValueError with upstream's text for every other scheme.
    """
    parts = urlsplit(endpoint)
    if parts.scheme == "":
        parts = urlsplit("unix://" + endpoint)
    if parts.scheme == "unix":
        return unquote(parts.path)
    if parts.scheme == "tcp":
        raise ValueError("only support unix socket endpoint")
    raise ValueError(f'protocol "{parts.scheme}" not supported')
