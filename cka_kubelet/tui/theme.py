"""The two themes, and the sixteen terminal colours that go with each. Contrast of text on ground is at least 4.5:1."""

from textual.theme import Theme

DARK = Theme(
    name="cka-dark",
    primary="#6cb6ff",
    secondary="#8a94a6",
    accent="#f0b355",
    success="#57d08a",
    warning="#f0b355",
    error="#ff7b72",
    foreground="#d5dae3",
    background="#0b0e14",
    surface="#10141c",
    panel="#171c26",
    dark=True,
    variables={
        "footer-background": "#171c26",
        "footer-key-foreground": "#f0b355",
        "footer-description-foreground": "#aab3c2",
        "block-cursor-background": "#2b4a6f",
        "block-cursor-foreground": "#ffffff",
        "input-selection-background": "#2b4a6f",
    },
)

LIGHT = Theme(
    name="cka-light",
    primary="#0a5fb4",
    secondary="#5b6472",
    accent="#8a5200",
    success="#14713f",
    warning="#8a5200",
    error="#b3261e",
    foreground="#1d232c",
    background="#f3f4f6",
    surface="#ffffff",
    panel="#e6e9ee",
    dark=False,
    variables={
        "footer-background": "#e6e9ee",
        "footer-key-foreground": "#8a5200",
        "footer-description-foreground": "#3b434f",
        "block-cursor-background": "#0a5fb4",
        "block-cursor-foreground": "#ffffff",
        "input-selection-background": "#b9d6f5",
    },
)

Triple = tuple[int, int, int]


def _triples(colours: str) -> tuple[Triple, ...]:
    return tuple((int(c[0:2], 16), int(c[2:4], 16), int(c[4:6], 16)) for c in colours.split())


_DARK_16 = _triples(
    "1c2230 ff7b72 57d08a e3b341 6cb6ff d2a8ff 56d4dd c9d1d9 6e7a8c ffa198 7ee2a8 f2cc60 9ccbff e2c5ff 8be9ef ffffff"
)
_LIGHT_16 = _triples(
    "1d232c b3261e 14713f 8a5a00 0a5fb4 8a3ab8 0b6e78 5b6472 6b7480 c62f26 157a44 8a5e00 1a69ba 9a48c9 0b737f 2b313b"
)
_CUBE = (0, 95, 135, 175, 215, 255)
_FIXED = tuple((_CUBE[i // 36], _CUBE[i // 6 % 6], _CUBE[i % 6]) for i in range(216)) + tuple(
    (8 + 10 * i, 8 + 10 * i, 8 + 10 * i) for i in range(24)
)


def palette(dark: bool) -> tuple[Triple, ...]:
    """The 256 colours of the embedded terminal: ours for 0–15, xterm's cube and greys for the rest."""
    return (_DARK_16 if dark else _LIGHT_16) + _FIXED
