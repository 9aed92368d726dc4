"""What a path means for authorization: which subresources of the node allow it. Pure (pkg/kubelet/server/auth.go)."""

VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}

_SUBRESOURCES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("/stats", ("stats",)),
    ("/metrics", ("metrics",)),
    ("/logs", ("log",)),
    ("/checkpoint", ("checkpoint",)),
    ("/statusz", ("statusz",)),
    ("/flagz", ("configz",)),
    ("/configz", ("configz", "proxy")),
    ("/healthz", ("healthz", "proxy")),
    ("/pods", ("pods", "proxy")),
    ("/runningpods", ("pods", "proxy")),
)

KNOWN = (
    "/healthz",
    "/pods",
    "/runningpods/",
    "/configz",
    "/flagz",
    "/metrics",
    "/stats/",
    "/logs/",
    "/checkpoint/",
    "/statusz",
    "/containerLogs/",
    "/exec/",
    "/attach/",
    "/portForward/",
    "/run/",
    "/debug/",
)


def known(path: str) -> bool:
    """Whether any handler is registered for the path; others are 404 before anybody is asked who they are."""
    for prefix in KNOWN:
        if path == prefix or path == prefix.rstrip("/") or path.startswith(prefix.rstrip("/") + "/"):
            return True
    return False


def verb(method: str) -> str:
    """The authorization verb of an HTTP method."""
    return VERBS.get(method, "")


def subresources(path: str) -> tuple[str, ...]:
    """The node subresources of which one must be allowed."""
    for prefix, allowed in _SUBRESOURCES:
        if path == prefix or path.startswith(prefix + "/"):
            return allowed
    return ("proxy",)


def metric_labels(method: str, path: str) -> tuple[str, str, str, str]:
    """long_running, method, path and server_type of the request metrics; the path is cut so that it names no pod."""
    parts = [part for part in path.split("/") if part] or [""]
    shown = "/".join(parts[:2]) if parts[0] == "metrics" else parts[0]
    long_running = parts[0] in ("exec", "attach", "portForward", "debug")
    return str(long_running).lower(), method, shown, "readwrite"
