"""The menu (command palette): the same commands that the keys carry out, and the colours."""

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.types import IgnoreReturnCallbackType

from cka_kubelet.tui.commands import COMMANDS

_THEMES = {"Dark colours": "cka-dark", "Light colours": "cka-light"}


class LabCommands(Provider):
    """Commands of the screen the menu was opened on."""

    def _entries(self) -> list[tuple[str, str, IgnoreReturnCallbackType]]:
        entries: list[tuple[str, str, IgnoreReturnCallbackType]] = [
            (f"{command.label}  ({command.key_text})", command.help, partial(self.screen.run_action, command.action))
            for command in COMMANDS
            if hasattr(self.screen, f"action_{command.action}") and self.screen.check_action(command.action, ())
        ]
        for label, theme in _THEMES.items():
            entries.append((label, "Change the colours.", partial(setattr, self.app, "theme", theme)))
        return entries

    async def discover(self) -> Hits:
        for name, text, action in self._entries():
            yield DiscoveryHit(name, action, help=text)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, text, action in self._entries():
            if (score := matcher.match(name)) > 0:
                yield Hit(score, matcher.highlight(name), action, help=text)
