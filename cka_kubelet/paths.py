"""Where the trainer keeps things on the learner's machine. `CKA_KUBELET_HOME` moves all of it (tests do)."""

import os
from pathlib import Path

import platformdirs

from cka_kubelet.errors import EnvironmentError_


def data_dir() -> Path:
    """Keys, known hosts, journals, sessions: must survive. Created 0700 on first use. Raises EnvironmentError_."""
    home = os.environ.get("CKA_KUBELET_HOME")
    return _made(Path(home) if home else Path(platformdirs.user_data_dir("cka-kubelet")))


def _made(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as err:
        raise EnvironmentError_(
            f"{path} cannot be made: {err.strerror}", "Mend that, or set CKA_KUBELET_HOME to a directory that can."
        ) from None
    return path
