"""What every screen shares: the app, typed, and the dialog's shape."""

from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Button, Static

if TYPE_CHECKING:
    from cka_kubelet.tui.app import LabApp

T = TypeVar("T")

_CARD_ROWS = 11  # border, padding, title, subtitle, buttons


def app_of(node: "Screen[T] | Widget") -> "LabApp":
    """The app this screen or widget is in."""
    return cast("LabApp", node.app)


class Dialog(ModalScreen[T]):
    """A card over the lab. Escape dismisses with `escape_result`; a button with its own."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,ctrl+c", "close", "Back"),
        ("left", "app.focus_previous", ""),
        ("right", "app.focus_next", ""),
        ("up", "scroll_card(-1)", ""),
        ("down", "scroll_card(1)", ""),
        ("pageup", "scroll_card(-8)", ""),
        ("pagedown", "scroll_card(8)", ""),
    ]
    escape_result: T | None = None

    def __init__(self) -> None:
        super().__init__(classes="dialog")

    def action_close(self) -> None:
        self.dismiss(self.escape_result)

    def action_scroll_card(self, rows: int) -> None:
        """Scroll the card's long part while a button has the focus."""
        for part in self.query(".tall"):
            part.scroll_relative(y=rows, animate=False)

    def fit_card(self, rows: int) -> None:
        """Make the card as high as `rows` of content need; its scrolling part gives way in a low window."""
        self.query_one(".card").styles.height = rows + _CARD_ROWS


class ConfirmDialog(Dialog[bool]):
    """A question with two answers. True when the first button was chosen."""

    escape_result = False

    def __init__(self, title: str, text: str, yes: str, no: str, *, default_yes: bool = False) -> None:
        super().__init__()
        self._texts = (title, text, yes, no)
        self._default_yes = default_yes

    def compose(self) -> ComposeResult:
        title, text, yes, no = self._texts
        with Vertical(classes="card"):
            yield Static(title, classes="title", markup=False)
            yield Static(text, markup=False)
            with Horizontal(classes="buttons"):
                yield Button(yes, id="yes")
                yield Button(no, id="no")

    def on_mount(self) -> None:
        self.query_one("#yes" if self._default_yes else "#no", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")


class WorkingDialog(ModalScreen[None]):
    """Something short is being done by a worker; the app dismisses this when it ends."""

    def __init__(self, text: str) -> None:
        super().__init__(classes="dialog")
        self._text = text
        self._seconds = 0

    def compose(self) -> ComposeResult:
        with Vertical(classes="card"):
            yield Static(self._text, classes="title", markup=False)
            yield Static("One moment …", id="moment", classes="subtitle", markup=False)

    def on_mount(self) -> None:
        self.set_interval(1, self._tick)

    def _tick(self) -> None:
        self._seconds += 1
        self.query_one("#moment", Static).update(f"One moment … {self._seconds} s")
