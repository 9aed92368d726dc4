"""`python3 -m cka_kubelet.controlplane`: exits 1 with one line on stderr when it cannot start."""

import asyncio
import gc
import sys

from cka_kubelet.controlplane import app, flags
from cka_kubelet.controlplane.storagebackend import StorageError
from cka_kubelet.kube import klog


def main(argv: list[str] | None = None) -> int:
    """Run until told to stop; the exit status."""
    options = flags.parse(sys.argv[1:] if argv is None else argv)
    klog.set_verbosity(options.v)
    gc.freeze()
    try:
        asyncio.run(app.run(options))
    except StorageError as error:
        klog.raw("F", "instance.go:233", str(error))
        return 255
    except (OSError, ValueError) as error:
        klog.error("run.go:72", "command failed", err=error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
