"""/logs/: the files below /var/log, as Go's file server shows them."""

import html
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

ROOT = Path("/var/log")
CHUNK = 64 * 1024


def resolve(path: str) -> Path | None:
    """The file below /var/log that a decoded URL path names, None when there is none or it lies elsewhere."""
    parts = [p for p in path.split("/") if p not in ("", ".")]
    if ".." in parts or "\0" in path:
        return None
    target = ROOT.joinpath(*parts)
    return target if target.exists() else None


def listing(directory: Path) -> bytes:
    """A directory's page."""
    lines = ['<!doctype html>\n<meta name="viewport" content="width=device-width">\n<pre>\n']
    for entry in sorted(directory.iterdir(), key=lambda e: e.name):
        name = entry.name + ("/" if entry.is_dir() else "")
        lines.append(f'<a href="{quote(name)}">{html.escape(name)}</a>\n')
    return ("".join(lines) + "</pre>\n").encode("utf-8", "surrogateescape")


async def content(file: Path) -> AsyncIterator[bytes]:
    """A file's bytes. Raises OSError at the first step."""
    with file.open("rb") as opened:
        while block := opened.read(CHUNK):
            yield block
