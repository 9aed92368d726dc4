"""/healthz, /livez and /readyz: named checks, one by one or all at once (`k8s.io/apiserver/pkg/server/healthz`)."""

from collections.abc import Awaitable, Callable, Mapping

from cka_kubelet.kube import klog
from cka_kubelet.kube.gofmt import quote
from cka_kubelet.kube.httpserver import Response

Check = Callable[[], Awaitable[str]]
"""Why something is not healthy, "" when it is."""
Checks = Mapping[str, Check]

_TEXT = [("content-type", "text/plain; charset=utf-8"), ("x-content-type-options", "nosniff")]


async def passes() -> str:
    """A check that has nothing to find fault with."""
    return ""


class Health:
    """Answers the paths of `roots` and the checks below each; the mappings may change later."""

    def __init__(self, roots: Mapping[str, Checks]) -> None:
        self._roots = roots

    async def answer(self, path: str, query: Mapping[str, list[str]]) -> Response | None:
        """The answer to a path without a slash at its end; None when it is none of ours."""
        for root, checks in self._roots.items():
            if path == root:
                return await self._all(root, checks, query)
            check = checks.get(path.removeprefix(f"{root}/"))
            if check is not None and path.startswith(f"{root}/"):
                problem = await check()
                if problem:
                    return Response(500, _TEXT, f"internal server error: {problem}\n".encode())
                return Response(200, _TEXT, b"ok")
        return None

    async def _all(self, root: str, checks: Checks, query: Mapping[str, list[str]]) -> Response:
        name, excluded = root[1:], query.get("exclude", [])
        lines, problems = [], {}
        for title, check in list(checks.items()):
            if title in excluded:
                lines.append(f"[+]{title} excluded: ok")
            elif problem := await check():
                problems[title] = problem
                lines.append(f"[-]{title} failed: reason withheld")
            else:
                lines.append(f"[+]{title} ok")
        unknown = sorted(set(excluded) - set(checks))
        if unknown:
            named = ",".join(quote(each) for each in unknown)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {named}")
        if problems:
            details = "".join(f"[-]{title} failed: {problem}\n" for title, problem in problems.items())
            klog.raw("I", "healthz.go:311", f"{','.join(problems)} check failed: {name}\n{details}", v=2)
            return Response(500, _TEXT, "\n".join([*lines, f"{name} check failed", ""]).encode())
        if "verbose" not in query:
            return Response(200, _TEXT, b"ok")
        return Response(200, _TEXT, "\n".join([*lines, f"{name} check passed", ""]).encode())
