"""What a learner can do, once: key, label and help are shared by the bindings, the menu and the help page.

Function keys only: control and Alt combinations belong to bash, vim and less. Ctrl+\\ opens the menu where a laptop
or a desktop keeps F9 for itself; everything can be reached from there.
"""

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True)
class Command:
    """One action of the lab screen. `action` is the method `action_<action>` that carries it out."""

    action: str
    key: str
    label: str
    help: str
    in_exam: bool = True

    @property
    def binding(self) -> Binding:
        """With priority: the terminal takes every other key."""
        return Binding(self.key, self.action, self.label, priority=True, key_display=self.key_text)

    @property
    def key_text(self) -> str:
        return self.key.upper()


COMMANDS = (
    Command("help", "f1", "Help", "Show the keys and how a lab goes."),
    Command("next_node", "f2", "Node", "Switch to the next node's terminal. Each keeps its shell and history."),
    Command("toggle_panel", "f3", "Panel", "Show or hide the task and the nodes' states."),
    Command("hint", "f4", "Hint", "Take the next hint. You see its price before you pay.", in_exam=False),
    Command("check", "f5", "Check", "See how far the repair is. Costs nothing, ends nothing.", in_exam=False),
    Command("restart_shell", "f6", "Reconnect", "Open a new shell on this node, after the old one has ended."),
    Command("submit", "f10", "Submit", "Say what the cause was and have the lab graded."),
    Command("leave", "f12", "Quit", "Leave the lab. The nodes are restored first."),
)

MENU = Binding("f9,ctrl+backslash", "command_palette", "Menu", priority=True, key_display="F9")
