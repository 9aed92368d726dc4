"""Textual's key events in the emulator's words."""

_NAMES = {
    "pageup": "pageup",
    "pagedown": "pagedown",
    "enter": "enter",
    "return": "enter",
    "tab": "tab",
    "escape": "escape",
    "backspace": "backspace",
    "delete": "delete",
    "insert": "insert",
    "home": "home",
    "end": "end",
    "up": "up",
    "down": "down",
    "left": "left",
    "right": "right",
    **{f"f{number}": f"f{number}" for number in range(1, 25)},
}


def translate(key: str, character: str | None) -> tuple[str, str, str | None] | None:
    """(key, modifiers joined by "+", text) for `Emulator.encode_key`; None for a key that means nothing to a shell."""
    *modifiers, name = key.split("+") if key != "+" else ["+"]
    if name in _NAMES:
        return _NAMES[name], "+".join(modifiers), None
    if "ctrl" in modifiers:
        if len(name) == 1:
            return name.lower(), "+".join(modifiers), None
        if character and len(character) == 1 and ord(character) < 0x20:  # ctrl+backslash and its like
            return chr(ord(character) | 0x40).lower(), "+".join(modifiers), None
        return None
    text = character if character and character.isprintable() else name if len(name) == 1 else None
    if text is None:
        return None
    return text, "+".join(m for m in modifiers if m != "shift"), text
