"""What hangs below an object (binding, eviction, token, approval, scale) and the reviews, which store nothing."""

from typing import TYPE_CHECKING, Any

from cka_kubelet.controlplane.authz import Attributes
from cka_kubelet.controlplane.disruption import allowed_by_budgets
from cka_kubelet.controlplane.kinds import Kind
from cka_kubelet.controlplane.kinds import kind as kind_of
from cka_kubelet.controlplane.registry import User
from cka_kubelet.controlplane.requestinfo import Query, RequestInfo
from cka_kubelet.controlplane.tokens import LEGACY_AUDIENCE, TokenError, service_account_claims
from cka_kubelet.kube import apistatus
from cka_kubelet.kube.times import timestamp

if TYPE_CHECKING:
    from cka_kubelet.controlplane.resources import Resources

Object = dict[str, Any]

_POD_KIND = kind_of("pods")
_MIN_TOKEN_SECONDS = 600


def stored_kind(kind: Kind) -> Kind:
    """The kind under which an object is stored: core events for both event APIs."""
    return kind_of("events") if kind.storage == "events" else kind


async def handle(
    api: "Resources", user: User, info: RequestInfo, kind: Kind, query: Query, body: Any
) -> tuple[int, Object] | None:
    """Answer a subresource that has a behaviour of its own; None for those that are views of the object."""
    match info.subresource, info.verb:
        case "binding", "create":
            return await _bind(api, info, body)
        case "eviction", "create":
            return await _evict(api, info, body)
        case "token", "create":
            return _token(api, info, body)
        case "scale", "get":
            return 200, _scale(api.registry.get(kind, info.namespace, info.name))
        case "scale", ("update" | "patch"):
            return await _set_scale(api, user, info, kind, body)
    return None


async def review(api: "Resources", user: User, kind: Kind, info: RequestInfo, body: Object) -> Object:
    """Answer the kinds that can only be created."""
    spec = body.get("spec") or {}
    match kind.plural:
        case "bindings":
            name = (body.get("metadata") or {}).get("name", "")
            return (await _bind(api, info._replace(name=name), body))[1]
        case "tokenreviews":
            status = _token_review(api, spec)
        case "selfsubjectreviews":
            status = {"userInfo": _user_info(user)}
        case "selfsubjectrulesreviews":
            status = _rules_review(api, user, spec)
        case "selfsubjectaccessreviews":
            status = _access_review(api, user, spec)
        case _:
            asked = User(str(spec.get("user", "")), tuple(spec.get("groups") or ()))
            status = _access_review(api, asked, spec)
    metadata = {**(body.get("metadata") or {}), "creationTimestamp": None}
    return {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata, "spec": spec, "status": status}


def _user_info(user: User) -> Object:
    info: Object = {"username": user.name, "groups": list(user.groups)}
    if user.uid:
        info["uid"] = user.uid
    return info


def _token_review(api: "Resources", spec: Object) -> Object:
    audiences = list(spec.get("audiences") or [LEGACY_AUDIENCE])
    try:
        user, fitting = api.authenticator.user_of_token(str(spec.get("token", "")), audiences)
    except TokenError as error:
        return {"user": {}, "error": f"[{error}]"}
    return {"authenticated": True, "user": _user_info(user), "audiences": fitting}


def _access_review(api: "Resources", user: User, spec: Object) -> Object:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes") or {}
    if resource:
        keys = ("group", "version", "resource", "subresource", "namespace", "name")
        group, version, plural, subresource, namespace, name = (str(resource.get(key) or "") for key in keys)
        verb = str(resource.get("verb", ""))
        asked = Attributes(verb, "", group, version, plural, subresource, namespace, name)
    else:
        asked = Attributes(str(path.get("verb", "")), str(path.get("path", "")))
    decision = api.authorizer.decide(user, asked)
    status: Object = {"allowed": decision.allowed}
    if decision.reason:
        status["reason"] = decision.reason
    return status


def _rules_review(api: "Resources", user: User, spec: Object) -> Object:
    resources, paths = [], []
    rules = [rule for _, rule in api.authorizer.rules(user, str(spec.get("namespace", "")))]
    if "system:masters" in user.groups:
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        rules = [everything, {"verbs": ["*"], "nonResourceURLs": ["*"]}]
    for rule in rules:
        if rule.get("nonResourceURLs"):
            paths.append({"verbs": rule["verbs"], "nonResourceURLs": rule["nonResourceURLs"]})
        else:
            keys = ("verbs", "apiGroups", "resources", "resourceNames")
            resources.append({key: rule[key] for key in keys if rule.get(key)})
    return {"resourceRules": resources, "nonResourceRules": paths, "incomplete": False}


async def _bind(api: "Resources", info: RequestInfo, body: Object) -> tuple[int, Object]:
    node = str((body.get("target") or {}).get("name", ""))

    def bound(pod: Object) -> Object:
        if pod["spec"].get("nodeName"):
            why = f'pod {info.name} is already assigned to node "{pod["spec"]["nodeName"]}"'
            raise apistatus.conflict("pods/binding", info.name, why)
        if pod["metadata"].get("deletionTimestamp"):
            why = f"pod {info.name} is being deleted, cannot be assigned to a host"
            raise apistatus.conflict("pods/binding", info.name, why)
        pod["spec"]["nodeName"] = node
        conditions = pod["status"].setdefault("conditions", [])
        conditions[:] = [condition for condition in conditions if condition.get("type") != "PodScheduled"]
        now = timestamp(api.registry.now())
        scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
        conditions.append({**scheduled, "observedGeneration": pod["metadata"].get("generation", 1)})
        return pod

    await api.registry.modify(_POD_KIND, info.namespace, info.name, bound)
    return 201, apistatus.success(code=201)


async def _evict(api: "Resources", info: RequestInfo, body: Object) -> tuple[int, Object]:
    pod = api.registry.get(_POD_KIND, info.namespace, info.name)
    refusal = allowed_by_budgets(api.registry.store, pod)
    if refusal is not None:
        raise refusal
    options = body.get("deleteOptions") or {}
    await api.registry.delete(_POD_KIND, info.namespace, info.name, options, dry_run=options.get("dryRun") == ["All"])
    return 201, apistatus.success(code=201)


def _token(api: "Resources", info: RequestInfo, body: Object) -> tuple[int, Object]:
    account = api.registry.get(kind_of("serviceaccounts"), info.namespace, info.name)
    if api.signer is None:
        raise apistatus.internal("no service account signing key")
    spec = dict(body.get("spec") or {})
    audiences = list(spec.get("audiences") or [LEGACY_AUDIENCE])
    seconds = int(spec.get("expirationSeconds") or 3600)
    if seconds < _MIN_TOKEN_SECONDS:
        text = f"Invalid value: {seconds}: may not specify a duration less than 10 minutes"
        cause = apistatus.Cause("FieldValueInvalid", text, "spec.expirationSeconds")
        raise apistatus.invalid("TokenRequest", "", [cause], "authentication.k8s.io")
    pod = None
    reference = spec.get("boundObjectRef") or {}
    if reference.get("kind") == "Pod":
        pod = api.registry.get(_POD_KIND, info.namespace, str(reference.get("name", "")))
        if reference.get("uid") and reference["uid"] != pod["metadata"]["uid"]:
            why = f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record"
            raise apistatus.conflict("pods", pod["metadata"]["name"], why)
    now = api.registry.now()
    token = api.signer.issue(service_account_claims(account, audiences, now, seconds, pod))
    spec["audiences"], spec["expirationSeconds"] = audiences, seconds
    return 201, {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": info.name, "namespace": info.namespace, "creationTimestamp": timestamp(now)},
        "spec": spec,
        "status": {"token": token, "expirationTimestamp": timestamp(now + seconds)},
    }


def _scale(obj: Object) -> Object:
    metadata = obj["metadata"]
    keys = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = ((obj.get("spec") or {}).get("selector") or {}).get("matchLabels") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in keys if key in metadata},
        "spec": {"replicas": (obj.get("spec") or {}).get("replicas", 0)},
        "status": {
            "replicas": (obj.get("status") or {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }


async def _set_scale(api: "Resources", user: User, info: RequestInfo, kind: Kind, body: Object) -> tuple[int, Object]:
    replicas = int((body.get("spec") or {}).get("replicas", 0))
    revision = (body.get("metadata") or {}).get("resourceVersion")

    def change(old: Object) -> Object:
        metadata = {**old["metadata"], **({"resourceVersion": revision} if revision else {})}
        return {**old, "metadata": metadata, "spec": {**old["spec"], "replicas": replicas}}

    return 200, _scale(await api.registry.update(kind, info.namespace, info.name, change, user))
