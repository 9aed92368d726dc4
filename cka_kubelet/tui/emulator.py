"""The terminal emulator behind the embedded terminal: bytes in, rows of styled text out. The only importer of bittty.

What a node prints is hostile. Three things stand between it and the learner's own terminal:
- control strings (OSC, DCS, APC, PM, SOS) and C1 controls never reach the emulator: no title, no clipboard, no
  notification, no printer, no macro; only the colour queries OSC 10/11 are answered, from here;
- cells are cleaned when read: no control, no bidirectional override, no stack of combining marks, and each cell is
  exactly as wide as the screen believes;
- whatever the emulator raises is swallowed and the parser starts afresh.
"""

import codecs
import re
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from bittty.devices.board import Board
from bittty.keyboard.keys import KeyEvent, KeyModifiers
from bittty.model import XTERM
from bittty.terminals.base import Terminal as Chrome
from bittty.terminals.scrollback import MemoryScrollback
from rich.cells import cell_len

SLICE = 4096
"""Characters fed at a time under the lock: a key press or a paint waits for one slice at most."""

SCROLLBACK_CELLS = 600_000
"""Cells of history kept per terminal: about 6,000 lines of 100 columns, some 8 MB."""

_MAX_SEQUENCE = 4096  # longer than any real control sequence; beyond it the parser starts afresh
_MAX_QUERY = 32
_MAX_MARKS = 4  # code points shown per cell

Colour = int | tuple[int, int, int] | None


class Look(NamedTuple):
    """How a run of cells looks. A colour is None (the theme's), a palette index 0–255, or (red, green, blue)."""

    fg: Colour = None
    bg: Colour = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    blink: bool = False
    reverse: bool = False
    conceal: bool = False
    strike: bool = False


class Run(NamedTuple):
    """Adjacent cells of one look. `width` is columns."""

    text: str
    look: Look
    width: int


class _Cable:
    """What the emulator transmits (answers to queries, encoded keys), kept until taken."""

    closed = False

    def __init__(self) -> None:
        self._sent: list[bytes] = []

    def write(self, data: str) -> int:
        self._sent.append(data.encode("utf-8", "replace"))
        return len(data)

    def write_bytes(self, data: bytes) -> int:
        self._sent.append(data)
        return len(data)

    def flush(self) -> None: ...

    def resize(self, rows: int, cols: int) -> None: ...

    def take(self) -> bytes:
        sent, self._sent = b"".join(self._sent), []
        return sent


_GROUND = re.compile(r"\x1b[\]P_^X]|\x1b\Z")
_STRING_END = re.compile(r"\x07|\x18|\x1a|\x1b\\|\x1b(?=.)|\x1b\Z", re.S)
_MODIFIERS = {"shift": KeyModifiers.SHIFT, "ctrl": KeyModifiers.CTRL, "alt": KeyModifiers.ALT}
_DROPPED = dict.fromkeys([*range(0x80, 0xA0), 0x7F, 0x05])


class StringFilter:
    """Takes control strings out of a stream of text, however it is cut. Holds at most a few characters.

    `query` gets the payload of short OSC strings, for the few that are answered.
    """

    def __init__(self) -> None:
        self._string = ""  # the introducer of the string we are in
        self._payload = ""
        self._held = ""  # an ESC at the end of the last chunk
        self.queries: list[str] = []

    def __call__(self, text: str) -> str:
        text = self._held + text.translate(_DROPPED)
        self._held = ""
        kept: list[str] = []
        at = 0
        while at < len(text):
            match = (_STRING_END if self._string else _GROUND).search(text, at)
            end = match.start() if match else len(text)
            if self._string:
                self._payload = (self._payload + text[at : min(end, at + _MAX_QUERY)])[:_MAX_QUERY]
            else:
                kept.append(text[at:end])
            if match is None:
                break
            at = match.end()
            if match.group() == "\x1b" and at == len(text):
                self._held = "\x1b"
            elif not self._string:
                self._string, self._payload = match.group(), ""
            else:
                at = self._close(match, at)
        return "".join(kept)

    def _close(self, match: re.Match[str], at: int) -> int:
        if match.group() in ("\x07", "\x1b\\") and self._string == "\x1b]" and len(self.queries) < 8:
            self.queries.append(self._payload)
        self._string = ""
        return at - 1 if match.group() == "\x1b" else at  # a bare ESC aborts the string and begins the next sequence


class Emulator:
    """A terminal's screen and history. Thread-safe: one thread feeds, another paints and types."""

    def __init__(self, columns: int, rows: int, *, foreground: str = "#c8ccd4", background: str = "#0e1116") -> None:
        self._board: Any = Board(width=columns, height=rows, model=replace(XTERM, options=frozenset()))
        self._cable = _Cable()
        self._board.host.attach(self._cable)
        self._chrome: Any = Chrome(self._board, MemoryScrollback(SCROLLBACK_CELLS))
        self._chrome.attach()
        self._size = (columns, rows)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._filter = StringFilter()
        self._colours = {"10": foreground, "11": background}
        self._turn, self._lock = threading.Lock(), threading.Lock()
        self.faults = 0
        """How often the emulator choked on what it was fed."""

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The lock, in turn: a painter waits for the slice being fed, not for the feeder to run dry."""
        with self._turn:
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def set_colours(self, foreground: str, background: str) -> None:
        """The theme's colours as #rrggbb, for programs that ask (vim chooses its scheme by them)."""
        self._colours = {"10": foreground, "11": background}

    def feed(self, data: bytes) -> bytes:
        """Take output in. Gives what must be sent back: answers to the program's queries. Never raises."""
        text = self._filter(self._decode(data))
        for start in range(0, len(text), SLICE):
            with self._locked():
                self._feed(text[start : start + SLICE])
        with self._locked():
            answers = self._cable.take()
        queries, self._filter.queries = self._filter.queries, []
        return answers[:SLICE] + b"".join(filter(None, map(self._answer, queries)))

    def _feed(self, text: str) -> None:
        parser = self._board.parser
        try:
            parser.feed(text)
            if len(parser.buffer) > _MAX_SEQUENCE:
                parser.reset()
            if (self._board.width, self._board.height) != self._size:  # only the window decides how large it is
                self._board.resize(*self._size)
        except Exception:  # hostile output must not end the lab
            self.faults += 1
            parser.reset()

    def _answer(self, query: str) -> bytes:
        code, _, what = query.partition(";")
        if what != "?" or code not in self._colours:
            return b""
        hexes = self._colours[code].lstrip("#")
        channels = "/".join(hexes[i : i + 2] * 2 for i in (0, 2, 4))
        return f"\x1b]{code};rgb:{channels}\x1b\\".encode()

    def resize(self, columns: int, rows: int) -> None:
        with self._locked():
            self._size = (max(2, columns), max(2, rows))
            self._board.resize(*self._size)

    @property
    def size(self) -> tuple[int, int]:
        """Columns, rows."""
        return self._size

    @property
    def alternate_screen(self) -> bool:
        """A full-screen program (vim, less, htop) is on."""
        return bool(self._board.blitter.in_alt_screen)

    @property
    def cursor(self) -> tuple[int, int] | None:
        """Column and row to draw the cursor at, None while it is hidden or scrolled out of view."""
        cursor = self._board.display.cursor
        if cursor is None:
            return None
        row = cursor[1] + self._chrome.view_offset()
        return (min(cursor[0], self._size[0] - 1), row) if row < self._size[1] else None

    @property
    def scrolled(self) -> int:
        """Rows the view sits above the live screen."""
        return int(self._chrome.view_offset())

    def scroll(self, rows: int) -> None:
        """Move the view: negative is back into history."""
        with self._locked():
            self._chrome.scroll_view(rows)

    def scroll_to_end(self) -> None:
        with self._locked():
            self._chrome.scroll_to_bottom()

    def damage_all(self) -> None:
        """The next `take_damage` gives every row: another view looks at this terminal now."""
        with self._locked():
            self._chrome._seen_page = None

    def take_damage(self) -> dict[int, list[Run]]:
        """The rows that changed since the last call, cleaned and ready to paint."""
        with self._locked():
            damaged = list(self._chrome.damaged_rows())
            if self._chrome.view_top is not None:
                rows = self._chrome.view_rows()
                return {y: _runs(cells) for y, cells in enumerate(rows[: self._size[1]])}
            page = self._board.display.page
            return {y: _runs(page.grid[y]) for y in damaged if y < self._size[1]}

    def text(self) -> list[str]:
        """The visible rows as plain text, for tests and for copying."""
        with self._locked():
            return ["".join(run.text for run in _runs(cells)).rstrip() for cells in self._chrome.view_rows()]

    def encode_key(self, key: str, modifiers: str, text: str | None) -> bytes:
        """What a key press sends now (cursor keys depend on the program's mode).

        `key` is a lower-case name or character; `modifiers` any of "shift", "ctrl", "alt" joined by "+".
        """
        names = set(modifiers.split("+")) if modifiers else set()
        prefix = b""
        if "alt" in names and len(key) == 1:  # Alt is an ESC before the key, as readline expects
            names.discard("alt")
            prefix = b"\x1b"
        bits = KeyModifiers.NONE
        for name in names & _MODIFIERS.keys():
            bits |= _MODIFIERS[name]
        with self._locked():
            self._board.input_key_event(KeyEvent(key, bits, text=text))
            return prefix + self._cable.take()

    def encode_paste(self, text: str) -> bytes:
        """Pasted text, bracketed when the program asked for it. Its control characters are taken out."""
        clean = "".join(c for c in text if c in "\t\r\n" or unicodedata.category(c) != "Cc")
        with self._locked():
            self._board.input_paste(clean.replace("\r\n", "\r").replace("\n", "\r"))
            return self._cable.take()

    @property
    def wants_mouse(self) -> bool:
        """The program tracks the mouse itself."""
        return bool(self._board.mouse.protocol.name != "OFF")

    def encode_mouse(self, column: int, row: int, button: int, kind: str, modifiers: set[str]) -> bytes:
        """A mouse event for the program: 0-based cell, xterm button number, "press", "release" or "move"."""
        with self._locked():
            self._board.input_mouse(column + 1, row + 1, button, kind, modifiers)
            return self._cable.take()


def _runs(cells: Sequence[tuple[Any, str]]) -> list[Run]:
    """Cells joined into runs of one look."""
    runs: list[Run] = []
    texts: list[str] = []
    width = 0
    style: Any = None
    for index, (cell_style, char) in enumerate(cells):
        if char == "" and index and runs is not None and width:  # the right half of the glyph before
            continue
        if cell_style is not style and cell_style != style:
            if texts:
                runs.append(Run("".join(texts), _look(style), width))
            texts, width, style = [], 0, cell_style
        if len(char) == 1 and " " <= char <= "~":
            texts.append(char)
            width += 1
            continue
        columns = 2 if index + 1 < len(cells) and cells[index + 1][1] == "" else 1
        texts.append(_clean(char, columns))
        width += columns
    if texts:
        runs.append(Run("".join(texts), _look(style), width))
    return runs


_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@lru_cache(maxsize=4096)
def _clean(char: str, columns: int) -> str:
    """A cell's text, safe to print and exactly `columns` wide."""
    safe = "".join(c for c in char[:_MAX_MARKS] if unicodedata.category(c) not in _UNSAFE)
    width = cell_len(safe)
    if width == columns:
        return safe
    if width < columns:
        return safe + " " * (columns - width) if safe else ("\N{REPLACEMENT CHARACTER}" + " " * (columns - 1))
    return "\N{REPLACEMENT CHARACTER}" + " " * (columns - 1)


@lru_cache(maxsize=4096)
def _look(style: Any) -> Look:
    return Look(
        _colour(style.fg),
        _colour(style.bg),
        bool(style.bold),
        bool(style.dim),
        bool(style.italic),
        bool(style.underline),
        bool(style.blink),
        bool(style.reverse),
        bool(style.conceal),
        bool(style.strike),
    )


def _colour(colour: Any) -> Colour:
    if colour is None or colour.mode == "default":
        return None
    value: Colour = colour.value
    return value
