"""Every error this program shows a person, drawn as one tree.

    LabError                        exit  what happened
    ├── UsageError                    2   the command line, or a lab file, is wrong
    │   └── LabFileError              2   … with file, line, column and key
    ├── UnsafeTargetError             3   a host without our marker and without consent: nothing was touched
    ├── EnvironmentError_             4   this machine lacks something: engine, root, disk, network, port
    │   ├── EngineError               4   no container engine, or it refused
    │   └── BusyError                 4   another lab of this user is running
    ├── NodeError                     5   a node did not do what it was told
    │   ├── NodeUnreachableError      5   SSH: dead host, wrong key, refused, timed out
    │   ├── HostKeyError              5   the host key is not the pinned one: hard stop
    │   └── CommandError              5   a command on the node failed
    ├── ProvisionError                6   a node could not be made
    ├── LabStartError                 7   baseline not healthy, or the symptom did not appear; rolled back
    ├── RestoreError                  8   something could not be undone; says what and how to finish
    └── InternalError                 70  a defect of ours; says where to report it

Exit code 0 is success, 1 is "the lab ran and was not passed", 130 is Ctrl-C. `message` says what happened and
where; `hint` says what to do next. Neither ever holds a secret.
"""


class LabError(Exception):
    """Base of all errors for people. `message`: what happened and where; `hint`: what to do next."""

    exit_code = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(LabError):
    """The command line or a file that the user wrote is wrong."""

    exit_code = 2


class LabFileError(UsageError):
    """A lab file is wrong. `message` starts with `file:line:column:`."""


class UnsafeTargetError(LabError):
    """The target is not one of our nodes and the user did not consent. Nothing was changed."""

    exit_code = 3


class EnvironmentError_(LabError):
    """This machine lacks something the trainer needs."""

    exit_code = 4


class EngineError(EnvironmentError_):
    """No usable container engine, or it refused what was asked of it."""


class BusyError(EnvironmentError_):
    """Another run holds the lock."""


class NodeError(LabError):
    """A node did not do what it was told."""

    exit_code = 5


class NodeUnreachableError(NodeError):
    """SSH did not get through: dead host, refused, wrong key, timed out."""


class HostKeyError(NodeError):
    """The node's host key is not the one pinned when it was made."""


class CommandError(NodeError):
    """A command on a node ended with an unexpected exit status."""


class ProvisionError(LabError):
    """A node could not be made or brought up to date."""

    exit_code = 6


class LabStartError(LabError):
    """The lab could not start: unhealthy baseline, or no symptom in time. Everything was rolled back."""

    exit_code = 7


class RestoreError(LabError):
    """An injection could not be undone completely."""

    exit_code = 8


class InternalError(LabError):
    """A defect of this program."""

    exit_code = 70
