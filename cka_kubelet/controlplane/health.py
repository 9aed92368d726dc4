"""/healthz, /livez and /readyz (`k8s.io/apiserver/pkg/server/healthz`)."""

from collections.abc import Mapping

from cka_kubelet.controlplane.store import Store
from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import quote
from cka_kubelet.kube.httpserver import Response

ROOTS = ("/healthz", "/livez", "/readyz")
_TEXT = [("content-type", "text/plain; charset=utf-8"), ("x-content-type-options", "nosniff")]
_LIVE = ("ping", "log", "etcd", "poststarthook/rbac/bootstrap-roles")
_CHECKS = {
    "/healthz": _LIVE,
    "/livez": _LIVE,
    "/readyz": ("ping", "log", "etcd", "etcd-readiness", "informer-sync", _LIVE[-1], "shutdown"),
}
_STORAGE = ("etcd", "etcd-readiness")


class Health:
    """Answers the paths below ROOTS."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def answer(self, path: str, query: Mapping[str, list[str]]) -> Response | None:
        """The answer to a path without a slash at its end; None when it is none of ours."""
        for root in ROOTS:
            if path == root:
                return await self._all(root, query)
            if path.removeprefix(f"{root}/") in _CHECKS[root]:
                problem = await self._problem(path.removeprefix(f"{root}/"))
                if problem:
                    return Response(500, _TEXT, f"internal server error: {problem}\n".encode())
                return Response(200, _TEXT, b"ok")
        return None

    async def _problem(self, check: str) -> str:
        return await self._store.check() if check in _STORAGE else ""

    async def _all(self, root: str, query: Mapping[str, list[str]]) -> Response:
        name, excluded = root[1:], query.get("exclude", [])
        lines, problems = [], {}
        for check in _CHECKS[root]:
            if check in excluded:
                lines.append(f"[+]{check} excluded: ok")
            elif problem := await self._problem(check):
                problems[check] = problem
                lines.append(f"[-]{check} failed: reason withheld")
            else:
                lines.append(f"[+]{check} ok")
        unknown = sorted(set(excluded) - set(_CHECKS[root]))
        if unknown:
            named = ",".join(quote(each) for each in unknown)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {named}")
        if problems:
            details = "".join(f"[-]{check} failed: {problem}\n" for check, problem in problems.items())
            klog.raw("I", "healthz.go:311", f"{','.join(problems)} check failed: {name}\n{details}", v=2)
            return Response(500, _TEXT, "\n".join([*lines, f"{name} check failed", ""]).encode())
        if "verbose" not in query:
            return Response(200, _TEXT, b"ok")
        return Response(200, _TEXT, "\n".join([*lines, f"{name} check passed", ""]).encode())
