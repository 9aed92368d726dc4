"""The audit log: what a policy wants is written, stage by stage."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cka_kubelet.controlplane import auditpolicy
from cka_kubelet.controlplane.audit import AuditLog, LogFile
from cka_kubelet.controlplane.auditpolicy import PolicyError
from cka_kubelet.controlplane.registry import User
from cka_kubelet.kube.apistatus import StatusError
from cka_kubelet.kube.httpserver import Hijack, Request, Response

_HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
_RULES = """\
omitStages: [RequestReceived]
rules:
- {level: None, users: ["system:kube-proxy"], verbs: [watch]}
- {level: RequestResponse, resources: [{group: "", resources: [secrets]}]}
- {level: Metadata, resources: [{group: apps, resources: [deployments/*]}], namespaces: [demo]}
- {level: Metadata, nonResourceURLs: ["/api*"]}
- {level: Request, resources: [{group: "", resources: [pods]}]}
"""


@pytest.fixture
def policy(tmp_path: Path) -> auditpolicy.Policy:
    file = tmp_path / "policy.yaml"
    file.write_text(_HEAD + _RULES)
    return auditpolicy.load(str(file))


def request(method: str, path: str, body: bytes = b"", query: str = "") -> Request:
    async def read(_limit: int) -> bytes:
        return body

    asked = {"watch": ["true"]} if query else {}
    return Request(method, path, asked, query, [("user-agent", "kubectl")], None, "::ffff:10.0.0.9", "", read, path)


def recorded(
    policy: auditpolicy.Policy, asked: Request, answer: Response | Hijack, user: str = "kubernetes-admin"
) -> list[dict[str, Any]]:
    lines: list[bytes] = []

    async def handler(got: Request) -> Response | Hijack:
        await got.read()
        return answer

    def authenticate(_request: Request) -> User:
        if not user:
            raise StatusError(401, "Unauthorized", "Unauthorized", None)
        return User(user, ("system:authenticated",))

    async def play() -> None:
        log = AuditLog(handler, policy, authenticate, lines.append, lambda: 1_700_000_000.0)
        given = await log.handle(asked)
        if isinstance(given, Response) and not isinstance(given.body, bytes):
            assert [chunk async for chunk in given.body] == [b"{}\n"]

    asyncio.run(play())
    return [json.loads(line) for line in lines]


def test_metadata_and_bodies(policy: auditpolicy.Policy) -> None:
    asked = request("POST", "/api/v1/namespaces/demo/secrets", b'{"kind":"Secret"}')
    (event,) = recorded(policy, asked, Response(201, (), b'{"metadata":{"name":"s"}}'))
    assert (event["level"], event["stage"], event["verb"]) == ("RequestResponse", "ResponseComplete", "create")
    assert event["objectRef"] == {"resource": "secrets", "namespace": "demo", "apiVersion": "v1"}
    assert event["requestObject"] == {"kind": "Secret"}
    assert event["responseObject"] == {"metadata": {"name": "s"}}
    assert event["responseStatus"] == {"metadata": {}, "code": 201}
    assert event["user"]["username"] == "kubernetes-admin"
    assert event["sourceIPs"] == ["10.0.0.9"]
    assert event["annotations"]["authorization.k8s.io/decision"] == "allow"
    (event,) = recorded(policy, request("POST", "/api/v1/namespaces/demo/pods", b"{}"), Response(201, (), b"{}"))
    assert "requestObject" in event and "responseObject" not in event


def test_a_refusal_is_recorded_with_its_reason(policy: auditpolicy.Policy) -> None:
    failure = b'{"kind":"Status","status":"Failure","message":"no","reason":"Forbidden","code":403}'
    (event,) = recorded(policy, request("GET", "/api/v1/namespaces/demo/pods/p"), Response(403, (), failure))
    assert event["responseStatus"] == {
        "metadata": {}, "code": 403, "status": "Failure", "message": "no", "reason": "Forbidden"
    }  # fmt: skip
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"
    (event,) = recorded(policy, request("GET", "/api/v1/pods"), Response(401, (), failure), user="")
    assert event["user"] == {} and "annotations" not in event


def test_a_watch_has_a_beginning_and_an_end(policy: auditpolicy.Policy) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"{}\n"

    asked = request("GET", "/api/v1/pods", query="watch=true")
    events = recorded(policy, asked, Response(200, (), body()))
    assert [(event["stage"], event["verb"]) for event in events] == [
        ("ResponseStarted", "watch"), ("ResponseComplete", "watch")
    ]  # fmt: skip
    assert events[0]["auditID"] == events[1]["auditID"]
    assert events[0]["requestURI"] == "/api/v1/pods?watch=true"


@pytest.mark.parametrize(
    ("path", "user", "level"),
    [
        ("/api/v1/services", "system:kube-proxy", None),
        ("/apis/apps/v1/namespaces/demo/deployments/d/scale", "admin", "Metadata"),
        ("/apis/apps/v1/namespaces/other/deployments/d/scale", "admin", None),
        ("/apis/apps/v1/namespaces/demo/deployments/d", "admin", "Metadata"),
        ("/api", "admin", "Metadata"),
        ("/version", "admin", None),
    ],
)
def test_the_first_rule_that_fits_counts(policy: auditpolicy.Policy, path: str, user: str, level: str | None) -> None:
    query = "watch=true" if user == "system:kube-proxy" else ""
    events = recorded(policy, request("GET", path, query=query), Response(200, (), b"{}"), user)
    assert [event["level"] for event in events] == ([level] if level else [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (_HEAD + "rules: []\n", "loaded illegal policy with 0 rules: from file "),
        (_HEAD + "rules: [{users: [a]}]\n", "rules[0].level: Required value: from file "),
        (_HEAD + "rules: [{level: All}]\n", 'rules[0].level: Unsupported value: "All": supported values: "Metadata", '),
        ("kind: Pod\napiVersion: v1\n", 'failed decoding: no kind "Pod" is registered for version "v1" in scheme'),
        ("rules: []\n", "failed decoding: Object 'Kind' is missing in 'rules: []\n'"),
    ],
)
def test_a_policy_that_is_none(text: str, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    with pytest.raises(PolicyError) as caught:
        auditpolicy.load(str(file))
    assert str(caught.value).startswith(problem)


def test_a_policy_that_is_not_there() -> None:
    with pytest.raises(PolicyError) as caught:
        auditpolicy.load("/nowhere/policy.yaml")
    missing = 'failed to read file path "/nowhere/policy.yaml": open /nowhere/policy.yaml: no such file or directory'
    assert str(caught.value) == missing


def test_a_log_that_is_too_large_is_put_aside(tmp_path: Path) -> None:
    write = LogFile(str(tmp_path / "logs" / "audit.log"), max_size=1, backups=1)
    for _ in range(3):
        write(b"x" * (700 << 10) + b"\n")
    write.close()
    found = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert len(found) == 2
    assert found[-1] == "audit.log" and found[0].startswith("audit-20")
