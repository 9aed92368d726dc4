"""The part of Go's text/template that people use with crictl.

`{{.a.b}}`, `{{range .x}}…{{else}}…{{end}}`, `{{if .x}}…{{else}}…{{end}}`, `{{with .x}}…{{end}}`, `{{index .x "key"}}`,
`{{len .x}}`, `{{json .x}}`, `{{lower .x}}`, `{{upper .x}}`, `{{title .x}}`, pipes, string literals and `{{- -}}`.
Anything else is refused.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from cka_kubelet.crictl.errors import Failure

_ACTION = re.compile(r"\{\{(- )?\s*(.*?)\s*( -)?\}\}", re.DOTALL)
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|\|| +|[^\s|"`]+')
_PATH = re.compile(r"\.(?:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)?\Z")


def render(template: str, document: Any) -> str:
    """The text a template makes of a document. Raises Failure for a wrong template or a missing key."""
    tokens = _tokens(template)
    text, rest = _block(tokens, document, run=True)
    if rest:
        raise Failure(f"execute template: failed to generate go-template: unexpected {{{{{rest[0][1]}}}}}")
    return text


def _tokens(template: str) -> list[tuple[bool, str]]:
    """(is an action, text) in order, white space trimmed where `{{-` and `-}}` ask for it."""
    tokens: list[tuple[bool, str]] = []
    at, trim = 0, False
    for match in _ACTION.finditer(template):
        text = template[at : match.start()]
        text = text.lstrip() if trim else text
        tokens.append((False, text.rstrip() if match.group(1) else text))
        tokens.append((True, match.group(2)))
        at, trim = match.end(), bool(match.group(3))
    if "{{" in template[at:]:
        raise Failure("execute template: failed to generate go-template: template: unclosed action")
    tokens.append((False, template[at:].lstrip() if trim else template[at:]))
    return tokens


def _block(tokens: list[tuple[bool, str]], dot: Any, *, run: bool) -> tuple[str, list[tuple[bool, str]]]:
    """Text up to an {{else}} or {{end}} that is not ours, and what follows from there."""
    out = ""
    while tokens:
        action, text = tokens[0]
        word = text.split(" ", 1)[0]
        if action and word in ("else", "end"):
            return out, tokens
        tokens = tokens[1:]
        if not action:
            out += text if run else ""
        elif word in ("range", "if", "with"):
            part, tokens = _control(word, text[len(word) :], tokens, dot, run=run)
            out += part
        elif run and not text.startswith("/*"):
            out += _text(_pipeline(text, dot))
    return out, tokens


def _control(
    word: str, expression: str, body: list[tuple[bool, str]], dot: Any, *, run: bool
) -> tuple[str, list[tuple[bool, str]]]:
    value = _pipeline(expression, dot) if run else None
    items = [dot if word == "if" else value] if value else []
    if word == "range" and value:
        items = [value[k] for k in sorted(value)] if isinstance(value, dict) else list(value)
    out = ""
    _, rest = _block(body, dot, run=False)
    for item in items:
        out += _block(body, item, run=True)[0]
    if rest and rest[0][1] == "else":
        part, rest = _block(rest[1:], dot, run=run and not items)
        out += part
    if not rest:
        raise Failure("execute template: failed to generate go-template: template: unexpected EOF")
    return out, rest[1:]


def _pipeline(expression: str, dot: Any) -> Any:
    piped: list[Any] = []
    for stage in _stages(expression):
        function, *rest = stage
        arguments = [_operand(word, dot) for word in rest] + piped
        piped = [_call(function, arguments) if function in _FUNCTIONS else _operand(function, dot)]
    if not piped:
        raise Failure("execute template: failed to generate go-template: template: missing value for command")
    return piped[0]


def _stages(expression: str) -> list[list[str]]:
    stages: list[list[str]] = [[]]
    for word in _WORD.findall(expression):
        if word == "|":
            stages.append([])
        elif word.strip():
            stages[-1].append(word)
    return [stage for stage in stages if stage]


def _operand(word: str, dot: Any) -> Any:
    if word[0] in '"`':
        return json.loads(word) if word[0] == '"' else word[1:-1]
    if re.fullmatch(r"-?\d+", word):
        return int(word)
    if not _PATH.match(word):
        raise Failure(f'execute template: failed to generate go-template: template: function "{word}" not defined')
    for name in filter(None, word.split(".")):
        if not isinstance(dot, dict) or name not in dot:
            raise Failure(f'execute template: failed to template data: map has no entry for key "{name}"')
        dot = dot[name]
    return dot


def _call(name: str, arguments: list[Any]) -> Any:
    try:
        return _FUNCTIONS[name](*arguments)
    except (TypeError, KeyError, IndexError, AttributeError) as e:
        raise Failure(f"execute template: failed to template data: error calling {name}: {e}") from e


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value[key]
    return value


def _text(value: Any) -> str:
    """Go's %v of a JSON value."""
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{_text(value[k])}" for k in sorted(value)) + "]"
    return "[" + " ".join(map(_text, value)) + "]" if isinstance(value, list) else str(value)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "index": _index,
    "len": len,
    "json": lambda value: json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n",
    "lower": lambda value: value.lower(),
    "upper": lambda value: value.upper(),
    "title": lambda value: value.title(),
}
