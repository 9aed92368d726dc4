"""Approves kubelets' requests for client certificates, if who asks may have them (certificates/approver/sarapprove.go).

Whether a requester may is RBAC's matter: `create` on certificatesigningrequests/selfnodeclient for its own name, or on
/nodeclient for any node's. kubeadm grants these by two ClusterRoleBindings; without them requests wait for a person.
"""

import base64
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers.informer import Informer, each
from cka_kubelet.controlplane.controllers.signing import CLIENT, REQUESTS, openssl
from cka_kubelet.kube import klog
from cka_kubelet.kube.times import timestamp

Object = dict[str, Any]

_USAGES = (
    {"digital signature", "client auth"},
    {"key encipherment", "digital signature", "client auth"},
)
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_FIRST, _MOST = 0.2, 1000.0
_MESSAGES = {
    "selfnodeclient": "Auto approving self kubelet client certificate after SubjectAccessReview.",
    "nodeclient": "Auto approving kubelet client certificate after SubjectAccessReview.",
}


class Wanted(NamedTuple):
    """What a PKCS#10 request asks for."""

    common_name: str
    organizations: tuple[str, ...]
    other_names: bool


def recognized(spec: Object, wanted: Wanted) -> list[str]:
    """The subresources of which one makes the request approvable; [] for what is no kubelet's client's. Pure."""
    fits = (
        spec.get("signerName") == CLIENT
        and wanted.organizations == ("system:nodes",)
        and wanted.common_name.startswith("system:node:")
        and not wanted.other_names
        and set(spec.get("usages") or ()) in _USAGES
    )
    if not fits:
        return []
    own = spec.get("username") == wanted.common_name
    return ["selfnodeclient", "nodeclient"] if own else ["nodeclient"]


class Approver:
    """One pass over all requests that nobody has decided. What is not granted is asked for again, ever more rarely."""

    def __init__(
        self,
        client: Client,
        requests: Informer,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._requests = requests
        self._now = now
        self._monotonic = monotonic
        self._later: dict[str, tuple[float, float]] = {}

    async def sync(self) -> float | None:
        """Every request once; the seconds until the next one is due."""
        known = {item["metadata"]["uid"] for item in self._requests.items.values()}
        self._later = {uid: later for uid, later in self._later.items() if uid in known}
        await each(self._requests.items.values(), self._one)
        due = min((moment for moment, _ in self._later.values()), default=None)
        return None if due is None else max(0.0, due - self._monotonic())

    async def _one(self, request: Object) -> None:
        status, spec = request.get("status") or {}, request["spec"]
        uid, name = request["metadata"]["uid"], request["metadata"]["name"]
        decided = any(item["type"] in ("Approved", "Denied") for item in status.get("conditions") or ())
        if decided or status.get("certificate"):
            self._later.pop(uid, None)
            return
        moment, delay = self._later.get(uid, (0.0, _FIRST / 2))
        if spec.get("signerName") != CLIENT or self._monotonic() < moment:
            return
        tried = recognized(spec, await parse(base64.b64decode(spec.get("request", ""))))
        for subresource in tried:
            if await self._may(spec, subresource):
                await self._approve(request, _MESSAGES[subresource])
                self._later.pop(uid, None)
                return
        if tried:
            text = f'recognized csr "{name}" as [{" ".join(tried)}] but subject access review was not approved'
            klog.info("certificate_controller.go:157", "Sync certificate request failed", v=4, csr=name, err=text)
            delay = min(delay * 2, _MOST)
            self._later[uid] = (self._monotonic() + delay, delay)

    async def _may(self, spec: Object, subresource: str) -> bool:
        attributes = {
            "group": "certificates.k8s.io", "version": "*", "resource": "certificatesigningrequests", "verb": "create",
            "subresource": subresource,
        }  # fmt: skip
        asked = {
            "user": spec.get("username", ""), "uid": spec.get("uid", ""), "groups": spec.get("groups") or [],
            "extra": spec.get("extra") or {}, "resourceAttributes": attributes,
        }  # fmt: skip
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": asked}
        answer = await self._client.create(_REVIEWS, review)
        return bool((answer.get("status") or {}).get("allowed"))

    async def _approve(self, request: Object, message: str) -> None:
        now = timestamp(self._now())
        condition = {
            "type": "Approved", "status": "True", "reason": "AutoApproved", "message": message,
            "lastUpdateTime": now, "lastTransitionTime": now,
        }  # fmt: skip
        before = request.get("status") or {}
        status = {**before, "conditions": [*(before.get("conditions") or ()), condition]}
        await self._client.update(f"{REQUESTS}/{request['metadata']['name']}/approval", {**request, "status": status})


async def parse(pem: bytes) -> Wanted:
    """What a request in PEM asks for; of what openssl refuses, nothing."""
    text = (await openssl("req", "-noout", "-text", "-subject", "-nameopt", "multiline", stdin=pem) or b"").decode(
        "utf-8", "replace"
    )
    names = re.findall(r"^\s*(commonName|organizationName)\s*=\s*(.*)$", text[text.rfind("subject=") :], re.M)
    common = next((value.strip() for key, value in names if key == "commonName"), "")
    organizations = tuple(value.strip() for key, value in names if key == "organizationName")
    return Wanted(common, organizations, "X509v3 Subject Alternative Name" in text)
