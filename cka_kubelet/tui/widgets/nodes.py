"""The nodes' Ready conditions: a dot, the word kubectl prints, since when, and why."""

import textwrap

from textual.content import Content

from cka_kubelet.tui.protocols import NodeState, SymptomState
from cka_kubelet.tui.state import age_text, node_status, printable

_WIDTH = 31


def node_lines(state: NodeState, now: float) -> Content:
    """The panel's lines for one node. `now`: seconds since the epoch."""
    word, colour = node_status(state)
    age = f" {age_text(now - state.since)}" if state.since is not None else ""
    head = Content.assemble(
        ("● ", f"${colour}"), (printable(state.name), "bold"), "  ", (word, f"${colour}"), (age, "$secondary")
    )
    if state.status in ("True", ""):
        return head
    lines = [head]
    if state.reason:
        lines.append(Content.assemble("  ", (printable(state.reason), "$foreground")))
    if state.message:
        lines += [Content.styled(f"  {line}", "$secondary") for line in _wrapped(state.message)]
    return Content("\n").join(lines)


def symptom_lines(state: SymptomState, now: float) -> Content:
    """The panel's lines for what the lab is about. `now`: seconds since the epoch."""
    colour = "success" if state.healthy else "error"
    age = f" {age_text(now - state.since)}" if state.since is not None else ""
    heading = [Content.styled("SYMPTOM", "bold $secondary"), Content()]
    name = [Content.styled(line, "bold") for line in _wrapped(state.name)]
    word = Content.assemble(("● ", f"${colour}"), (printable(state.state), f"${colour}"), (age, "$secondary"))
    why = [] if state.healthy else [Content.styled(f"  {line}", "$secondary") for line in _wrapped(state.detail)]
    return Content("\n").join([*heading, *name, word, *why, Content()])


def node_dots(states: list[NodeState]) -> Content:
    """The one-line form for narrow windows."""
    parts = [
        Content.assemble(("● ", f"${node_status(state)[1]}"), printable(state.name), ("  ", "")) for state in states
    ]
    return Content.assemble(*parts)


def _wrapped(text: str) -> list[str]:
    """A message in the panel's width, five lines of it at most."""
    return textwrap.wrap(" ".join(printable(text).split()), _WIDTH, max_lines=5, placeholder=" …")
