"""Where the trainer keeps things on the learner's machine. `CKA_KUBELET_HOME` moves all of it (tests do)."""

import os
from pathlib import Path

import platformdirs

from cka_kubelet.errors import EnvironmentError_


def data_dir() -> Path:
    """Keys, known hosts, journals, sessions: must survive. Created 0700 on first use. Raises EnvironmentError_."""
    home = os.environ.get("CKA_KUBELET_HOME")
    return _made(Path(home) if home else Path(platformdirs.user_data_dir("cka-kubelet")))


def write_private(path: Path, data: bytes) -> None:
    """Replace a file atomically, readable by this user alone. Raises EnvironmentError_ when the disk refuses."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as err:
        temporary.unlink(missing_ok=True)
        raise EnvironmentError_(
            f"{path} cannot be written: {err.strerror}", "Free some disk space or mend the directory's permissions."
        ) from None


def _made(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise EnvironmentError_(
            f"{path} cannot be made: {err.strerror}", "Mend that, or set CKA_KUBELET_HOME to a directory that can."
        ) from None
    return path
