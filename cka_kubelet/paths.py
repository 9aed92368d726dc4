"""Where the trainer keeps things on the learner's machine. `CKA_KUBELET_HOME` moves all of it (tests do)."""

import os
from pathlib import Path

import platformdirs


def data_dir() -> Path:
    """Keys, known hosts, journals, sessions: must survive. Created 0700 on first use."""
    home = os.environ.get("CKA_KUBELET_HOME")
    path = Path(home) if home else Path(platformdirs.user_data_dir("cka-kubelet"))
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def cache_dir() -> Path:
    """Base images and downloads: may be deleted at any time. Created on first use."""
    home = os.environ.get("CKA_KUBELET_HOME")
    path = Path(home) / "cache" if home else Path(platformdirs.user_cache_dir("cka-kubelet"))
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path
