"""What a learner reads afterwards: what was seen when, their own way, an expert's, and what happened. Pure."""

from collections.abc import Sequence

from cka_kubelet.labspec.model import Lab
from cka_kubelet.sessions.recorder import Command

SHOWN_COMMANDS = 40
"""Of a longer way only the last ones are shown."""


def debrief(
    lab: Lab, seen: Sequence[tuple[str, float | None]], commands: Sequence[Command], handed_over: float, unkept: str
) -> str:
    """Markdown. `seen`: evidence and when it was first met; times in seconds since the epoch; `unkept`: why a score is
    not in the history, or empty."""
    parts = [f"**This score is not in your history:** {unkept}"] if unkept else []
    parts += [lab.debrief.strip(), "## What you came across", *_seen(seen, handed_over)]
    parts += ["## Your way", _block(_yours(commands, handed_over)) if commands else "You ran no command."]
    expert = [f"{'':>5}  {command.on}: {command.run}" for command in (*lab.solution.diagnose, *lab.solution.repair)]
    parts += ["## An expert's way", _block(expert)]
    return "\n\n".join(parts) + "\n"


def _seen(seen: Sequence[tuple[str, float | None]], start: float) -> list[str]:
    met = sorted((when, what) for what, when in seen if when is not None)
    lines = [f"- {_clock(when - start)} — {what}" for when, what in met]
    lines += [f"- not met — {what}" for what, when in seen if when is None]
    return ["\n".join(lines)]


def _yours(commands: Sequence[Command], start: float) -> list[str]:
    left_out = max(0, len(commands) - SHOWN_COMMANDS)
    lines = [f"({left_out} earlier commands)"] if left_out else []
    for command in commands[left_out:]:
        failed = f"   [exit {command.status}]" if command.status else ""
        lines.append(f"{_clock(command.time - start)}  {command.node}: {command.line}{failed}")
    return lines


def _block(lines: Sequence[str]) -> str:
    """A code block that no line can end early."""
    text = "\n".join(lines)
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, int(seconds)), 60)
    return f"{minutes:02}:{rest:02}"
