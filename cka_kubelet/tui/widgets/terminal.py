"""The embedded terminal: paints a session's emulator and sends it keys, paste and mouse.

Output may come at any rate; painting happens at most 60 times a second and only for rows that changed. A first change
after a pause, such as the echo of a key, is painted at once.
"""

import asyncio
import time
from functools import lru_cache

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from cka_kubelet.tui.emulator import Colour, Emulator, Look, Run
from cka_kubelet.tui.keys import translate
from cka_kubelet.tui.session import TerminalSession
from cka_kubelet.tui.theme import Triple, palette

_FRAME = 1 / 60
_WHEEL_ROWS = 3
_BUTTONS = {1: 0, 2: 1, 3: 2}


class TerminalView(Widget, can_focus=True):
    """Shows one `TerminalSession` at a time; any number may live behind it."""

    DEFAULT_CSS = "TerminalView { width: 1fr; height: 1fr; }"

    class Changed(Message):
        """The session's state or the scroll position changed: what stands around the terminal must follow."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._session: TerminalSession | None = None
        self._strips: list[Strip] = []
        self._cursor: tuple[int, int] | None = None
        self._due = False
        self._painted = 0.0
        self._shown = ("", 0)
        self._loop: asyncio.AbstractEventLoop | None = None

    # -- the session

    @property
    def session(self) -> TerminalSession | None:
        """The session on show."""
        return self._session

    def show(self, session: TerminalSession) -> None:
        """Put this session on show, at this size; start it if it is new."""
        self._session = session
        self._strips = []
        if self.size.width and self.size.height:
            self._fit()
        self._paint()

    def _fit(self) -> None:
        session = self._session
        if session is None:
            return
        if session.state == "connecting" and session.emulator is None:
            session.start(self.size.width, self.size.height)
        else:
            session.resize(self.size.width, self.size.height)
            if session.emulator is not None:
                session.emulator.damage_all()

    def notify_changed(self, session: TerminalSession) -> None:
        """From any thread: this session has something to show."""
        if session is self._session and not self._due and self._loop is not None and not self._loop.is_closed():
            self._due = True
            self._loop.call_soon_threadsafe(self._schedule)

    def _schedule(self) -> None:
        wait = self._painted + _FRAME - time.monotonic()
        if wait <= 0:
            self._paint()
        else:
            assert self._loop is not None  # noqa: S101 - set at mount, and only a mounted view is notified
            self._loop.call_later(wait, self._paint)

    # -- painting

    def _paint(self) -> None:
        """Take the emulator's damage and repaint those rows."""
        self._due = False
        if not self.is_attached:
            return
        self._painted = time.monotonic()
        emulator = self._session.emulator if self._session is not None else None
        dirty = self._take(emulator) if emulator is not None else set(range(self.size.height))
        width = self.size.width
        if dirty and width:
            self.refresh(*(Region(0, y, width, 1) for y in sorted(dirty)))
            self._flush()
        shown = (self._session.state if self._session else "", emulator.scrolled if emulator else 0)
        if shown != self._shown:
            self._shown = shown
            self.post_message(self.Changed())

    def _flush(self) -> None:
        """Let the screen paint in this tick. Its own timer would add up to a frame to every echoed key."""
        screen = self.screen
        if screen.is_current:
            screen._on_timer_update()

    def _take(self, emulator: Emulator) -> set[int]:
        columns, rows = emulator.size
        base, dark = self.rich_style, self.app.current_theme.dark
        if len(self._strips) != rows:
            emulator.damage_all()
            self._strips = [Strip.blank(columns, base)] * rows
        dirty = set()
        for y, runs in emulator.take_damage().items():
            if y < len(self._strips):
                self._strips[y] = _strip(runs, base, dark)
                dirty.add(y)
        cursor = emulator.cursor
        if cursor != self._cursor:
            dirty.update(y for _, y in filter(None, (cursor, self._cursor)))
            self._cursor = cursor
        return dirty

    def render_line(self, y: int) -> Strip:
        """One row of the emulator; blank where it has none."""
        if y >= len(self._strips):
            return Strip.blank(self.size.width, self.rich_style)
        strip = self._strips[y]
        if self._cursor is not None and self._cursor[1] == y:
            strip = self._with_cursor(strip, self._cursor[0])
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(y)) is not None:
            strip = self._with_selection(strip, *span)
        return strip.adjust_cell_length(self.size.width, self.rich_style).apply_offsets(0, y)

    def _with_selection(self, strip: Strip, start: int, end: int) -> Strip:
        end = strip.cell_length if end == -1 else end
        style = self.screen.get_component_rich_style("screen--selection")
        chosen = Strip(Segment.apply_style(strip.crop(start, end), post_style=style))
        return Strip.join([strip.crop(0, start), chosen, strip.crop(end)])

    def _with_cursor(self, strip: Strip, x: int) -> Strip:
        cell = strip.crop(x, x + 1)
        style = Style(reverse=True) if self.has_focus else Style(underline=True)
        return Strip.join([strip.crop(0, x), Strip(Segment.apply_style(cell, post_style=style)), strip.crop(x + 1)])

    # -- selecting with the mouse, unless the program wants it

    @property
    def allow_select(self) -> bool:
        emulator = self._session.emulator if self._session is not None else None
        return emulator is None or not emulator.wants_mouse

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected part of the visible rows."""
        return selection.extract("\n".join(strip.text.rstrip() for strip in self._strips)), "\n"

    def on_click(self, event: events.Click) -> None:
        event.prevent_default()  # else a double click would select, and copy, everything

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return container.width

    # -- events

    def on_mount(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.watch(self.app, "theme", self._repaint_all, init=False)

    def _repaint_all(self) -> None:
        session = self._session
        if session is not None and session.emulator is not None:
            session.emulator.set_colours(*self._ground())
            session.emulator.damage_all()
        self.call_after_refresh(self._paint)

    def _ground(self) -> tuple[str, str]:
        style = self.rich_style
        fg, bg = (colour.get_truecolor().hex if colour else "" for colour in (style.color, style.bgcolor))
        return fg, bg

    def on_resize(self, event: events.Resize) -> None:
        if event.size.width >= 2 and event.size.height >= 2:
            self._fit()
            self._paint()

    def on_focus(self) -> None:
        self._repaint_cursor()

    def on_blur(self) -> None:
        self._repaint_cursor()

    def _repaint_cursor(self) -> None:
        if self._cursor is not None:
            self.refresh(Region(0, self._cursor[1], self.size.width, 1))

    def on_key(self, event: events.Key) -> None:
        """Every key that is not one of the app's own belongs to the shell."""
        event.stop()
        event.prevent_default()
        session = self._session
        if session is None or session.emulator is None:
            return
        page = max(1, self.size.height - 1)
        if event.key in ("shift+pageup", "shift+pagedown"):
            self._scroll(-page if event.key == "shift+pageup" else page)
            return
        key = translate(event.key, event.character)
        if key is not None:
            self._type(session, session.emulator.encode_key(*key))

    def on_paste(self, event: events.Paste) -> None:
        event.stop()
        if self._session is not None and self._session.emulator is not None:
            self._type(self._session, self._session.emulator.encode_paste(event.text))

    def _type(self, session: TerminalSession, data: bytes) -> None:
        emulator = session.emulator
        if emulator is not None and emulator.scrolled:
            emulator.scroll_to_end()
            self._paint()
        if self.text_selection is not None:
            self.screen.clear_selection()
        session.send(data)

    def _scroll(self, rows: int) -> None:
        emulator = self._session.emulator if self._session is not None else None
        if emulator is not None and not emulator.alternate_screen:
            emulator.scroll(rows)
            self._paint()

    # -- mouse

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, 64, "up", -_WHEEL_ROWS)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, 65, "down", _WHEEL_ROWS)

    def _wheel(self, event: events.MouseEvent, button: int, key: str, rows: int) -> None:
        event.stop()
        session = self._session
        if session is None or session.emulator is None:
            return
        if session.emulator.wants_mouse:
            self._mouse(event, button, "press")
        elif session.emulator.alternate_screen:  # less and vim without mouse support: the wheel is arrow keys
            session.send(session.emulator.encode_key(key, "", None) * _WHEEL_ROWS)
        else:
            self._scroll(rows)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._mouse(event, _BUTTONS.get(event.button, 0), "press")

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self._mouse(event, _BUTTONS.get(event.button, 0), "release")

    def on_mouse_move(self, event: events.MouseMove) -> None:
        self._mouse(event, _BUTTONS.get(event.button, 3), "move")

    def _mouse(self, event: events.MouseEvent, button: int, kind: str) -> None:
        session = self._session
        if session is None or session.emulator is None or not session.emulator.wants_mouse:
            return
        at = event.get_content_offset(self)
        if at is not None:
            pressed = {name for name in ("shift", "meta", "ctrl") if getattr(event, name)}
            session.send(session.emulator.encode_mouse(at.x, at.y, button, kind, pressed))


def _strip(runs: list[Run], base: Style, dark: bool) -> Strip:
    return Strip([Segment(run.text, _style(run.look, base, dark)) for run in runs], sum(run.width for run in runs))


@lru_cache(maxsize=4096)
def _style(look: Look, base: Style, dark: bool) -> Style:
    """Rich's style for a look: colours resolved here, so that no outer terminal's own sixteen shine through."""
    fg, bg = look.fg, look.bg
    if look.bold and isinstance(fg, int) and fg < 8:
        fg += 8  # bold brightens, as most terminals do
    return base + Style(
        color=_hex(fg, dark),
        bgcolor=_hex(bg, dark),
        bold=look.bold,
        dim=look.dim,
        italic=look.italic,
        underline=look.underline,
        blink=look.blink,
        reverse=look.reverse,
        conceal=look.conceal,
        strike=look.strike,
    )


def _hex(colour: Colour, dark: bool) -> str | None:
    if colour is None:
        return None
    triple: Triple = palette(dark)[colour] if isinstance(colour, int) else colour
    return "#{:02x}{:02x}{:02x}".format(*triple)
