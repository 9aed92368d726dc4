"""The cells of a kind's row. Each function takes an object and a function that turns a time into an age."""

from collections.abc import Callable, Iterable
from typing import Any

from cka_kubelet.kube.age import seconds_since, short_human_duration

Object = dict[str, Any]
Ago = Callable[[str], str]

_ROLE = "node-role.kubernetes.io/"
_NONE = "<none>"


def _name(obj: Object) -> str:
    return str(obj["metadata"]["name"])


def _age(obj: Object, ago: Ago) -> str:
    return ago(obj["metadata"].get("creationTimestamp") or "")


def _spec(obj: Object) -> Object:
    return obj.get("spec") or {}


def _status(obj: Object) -> Object:
    return obj.get("status") or {}


def _selector(labels: Object | None) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted((labels or {}).items())) or _NONE


def _label_selector(selector: Object | None) -> str:
    return _selector((selector or {}).get("matchLabels"))


def _containers(obj: Object) -> tuple[str, str]:
    containers = (_spec(obj).get("template", {}).get("spec") or {}).get("containers") or []
    return ",".join(str(c["name"]) for c in containers), ",".join(str(c.get("image", "")) for c in containers)


def plain(obj: Object, ago: Ago) -> list[Any]:
    """NAME AGE."""
    return [_name(obj), _age(obj, ago)]


def created(obj: Object, _: Ago) -> list[Any]:
    """NAME CREATED AT."""
    return [_name(obj), obj["metadata"].get("creationTimestamp")]


def node(obj: Object, ago: Ago) -> list[Any]:
    """A node."""
    status, labels = _status(obj), obj["metadata"].get("labels") or {}
    ready = next((item for item in status.get("conditions") or () if item.get("type") == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if _spec(obj).get("unschedulable"):
        words.append("SchedulingDisabled")
    roles = {key[len(_ROLE) :] for key in labels if key.startswith(_ROLE) and len(key) > len(_ROLE)}
    if labels.get("kubernetes.io/role"):
        roles.add(labels["kubernetes.io/role"])
    info = status.get("nodeInfo") or {}
    addresses = status.get("addresses") or ()

    def address(kind: str) -> str:
        return next((str(item["address"]) for item in addresses if item.get("type") == kind), _NONE)

    unknown = "<unknown>"
    kernel, arch = info.get("kernelVersion") or unknown, info.get("architecture")
    return [
        _name(obj),
        ",".join(words),
        ",".join(sorted(roles)) or _NONE,
        _age(obj, ago),
        info.get("kubeletVersion", ""),
        address("InternalIP"),
        address("ExternalIP"),
        info.get("osImage") or unknown,
        f"{kernel} ({arch})" if arch else kernel,
        info.get("containerRuntimeVersion") or unknown,
    ]


def event(obj: Object, ago: Ago) -> list[Any]:
    """An event, in either API's shape."""
    about = obj.get("involvedObject") or obj.get("regarding") or {}
    series = obj.get("series") or {}
    seen = obj.get("eventTime") or ""
    first = obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or seen
    last = series.get("lastObservedTime") or obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp") or first
    count = series.get("count") or obj.get("count") or obj.get("deprecatedCount") or 1
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    component = source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    host = source.get("host") or obj.get("reportingInstance") or ""
    target = str(about.get("kind", "")).lower()
    target += f"/{about['name']}" if about.get("name") else ""
    message = str(obj.get("message") or obj.get("note") or "").strip()
    origin = f"{component}, {host}" if host else component
    where = about.get("fieldPath", "")
    return [
        ago(last),
        obj.get("type", ""),
        obj.get("reason", ""),
        target,
        where,
        origin,
        message,
        ago(first),
        count,
        _name(obj),
    ]


def namespace(obj: Object, ago: Ago) -> list[Any]:
    """NAME STATUS AGE."""
    return [_name(obj), _status(obj).get("phase", ""), _age(obj, ago)]


def config_map(obj: Object, ago: Ago) -> list[Any]:
    """NAME DATA AGE."""
    return [_name(obj), len(obj.get("data") or ()) + len(obj.get("binaryData") or ()), _age(obj, ago)]


def secret(obj: Object, ago: Ago) -> list[Any]:
    """NAME TYPE DATA AGE."""
    return [_name(obj), obj.get("type", ""), len(obj.get("data") or ()), _age(obj, ago)]


def _ports(ports: Iterable[Object]) -> str:
    texts = []
    for port in ports:
        number = str(port.get("port", ""))
        if port.get("nodePort"):
            number += f":{port['nodePort']}"
        texts.append(f"{number}/{port.get('protocol', 'TCP')}")
    return ",".join(texts) or _NONE


def service(obj: Object, ago: Ago) -> list[Any]:
    """A service."""
    spec = _spec(obj)
    kind = spec.get("type", "ClusterIP")
    external = ",".join(spec.get("externalIPs") or ()) or _NONE
    if kind == "LoadBalancer":
        ingress = (_status(obj).get("loadBalancer") or {}).get("ingress") or ()
        external = ",".join(str(item.get("ip") or item.get("hostname")) for item in ingress) or "<pending>"
    elif kind == "ExternalName":
        external = spec.get("externalName", "")
    address = spec.get("clusterIP") or _NONE
    return [
        _name(obj),
        kind,
        address,
        external,
        _ports(spec.get("ports") or ()),
        _age(obj, ago),
        _selector(spec.get("selector")),
    ]


def _shorten(items: list[str], limit: int = 3) -> str:
    text = ",".join(items[:limit]) or _NONE
    return f"{text} + {len(items) - limit} more..." if len(items) > limit else text


def endpoints(obj: Object, ago: Ago) -> list[Any]:
    """NAME ENDPOINTS AGE."""
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or ()
        for port in subset.get("ports") or ()
        for address in subset.get("addresses") or ()
    ]
    return [_name(obj), _shorten(found), _age(obj, ago)]


def endpoint_slice(obj: Object, ago: Ago) -> list[Any]:
    """NAME ADDRESSTYPE PORTS ENDPOINTS AGE."""
    ports = [str(port.get("port", "*")) for port in obj.get("ports") or ()]
    addresses = [address for item in obj.get("endpoints") or () for address in item.get("addresses") or ()]
    unset = "<unset>"
    return [
        _name(obj),
        obj.get("addressType", ""),
        _shorten(ports) if ports else unset,
        _shorten(addresses) if addresses else unset,
        _age(obj, ago),
    ]


def lease(obj: Object, ago: Ago) -> list[Any]:
    """NAME HOLDER AGE."""
    return [_name(obj), _spec(obj).get("holderIdentity") or "", _age(obj, ago)]


def deployment(obj: Object, ago: Ago) -> list[Any]:
    """A deployment."""
    spec, status = _spec(obj), _status(obj)
    ready = f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    selector = _label_selector(spec.get("selector"))
    return [_name(obj), ready, updated, available, _age(obj, ago), *_containers(obj), selector]


def replica_set(obj: Object, ago: Ago) -> list[Any]:
    """A replica set."""
    spec, status = _spec(obj), _status(obj)
    counts = [spec.get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [_name(obj), *counts, _age(obj, ago), *_containers(obj), _label_selector(spec.get("selector"))]


def daemon_set(obj: Object, ago: Ago) -> list[Any]:
    """A daemon set."""
    spec, status = _spec(obj), _status(obj)
    keys = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    counts = [status.get(key, 0) for key in keys]
    node_selector = _selector((spec.get("template", {}).get("spec") or {}).get("nodeSelector"))
    selector = _label_selector(spec.get("selector"))
    return [_name(obj), *counts, node_selector, _age(obj, ago), *_containers(obj), selector]


def stateful_set(obj: Object, ago: Ago) -> list[Any]:
    """A stateful set."""
    ready = f"{_status(obj).get('readyReplicas', 0)}/{_spec(obj).get('replicas', 0)}"
    return [_name(obj), ready, _age(obj, ago), *_containers(obj)]


def controller_revision(obj: Object, ago: Ago) -> list[Any]:
    """A controller revision."""
    owner = next((item for item in obj["metadata"].get("ownerReferences") or () if item.get("controller")), None)
    shown = f"{_lower_resource(owner)}/{owner['name']}" if owner else "<none>"
    return [_name(obj), shown, obj.get("revision", 0), _age(obj, ago)]


def _lower_resource(owner: Object) -> str:
    group = str(owner.get("apiVersion", "")).partition("/")[0] if "/" in str(owner.get("apiVersion", "")) else ""
    return f"{owner['kind'].lower()}.{group}" if group else str(owner["kind"].lower())


def cron_job(obj: Object, ago: Ago) -> list[Any]:
    """A cron job."""
    spec, status = _spec(obj), _status(obj)
    last = status.get("lastScheduleTime")
    job_spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    shown = [
        _name(obj), spec.get("schedule", ""), spec.get("timeZone") or "<none>", _go_bool(spec.get("suspend")),
        len(status.get("active") or ()), ago(last) if last else "<none>", _age(obj, ago),
    ]  # fmt: skip
    return [*shown, *_containers({"spec": job_spec}), _label_selector(job_spec.get("selector"))]


def _go_bool(value: object) -> str:
    return "True" if value else "False"


def job(obj: Object, ago: Ago) -> list[Any]:
    """A job."""
    spec, status = _spec(obj), _status(obj)
    states = {item["type"] for item in status.get("conditions") or () if item.get("status") == "True"}
    word = next((name for name in ("Complete", "Failed", "Suspended") if name in states), "Running")
    completions = f"{status.get('succeeded', 0)}/{spec.get('completions', 1)}"
    started, finished = status.get("startTime"), status.get("completionTime")
    duration = ""
    if started and finished:
        duration = short_human_duration(seconds_since(started, 0) - seconds_since(finished, 0))
    elif started:
        duration = ago(started)
    selector = _label_selector(spec.get("selector"))
    return [_name(obj), word, completions, duration, _age(obj, ago), *_containers(obj), selector]


def signing_request(obj: Object, ago: Ago) -> list[Any]:
    """A CSR."""
    spec, status = _spec(obj), _status(obj)
    words = [str(item["type"]) for item in status.get("conditions") or ()] or ["Pending"]
    if status.get("certificate"):
        words.append("Issued")
    duration = f"{spec['expirationSeconds']}s" if spec.get("expirationSeconds") else _NONE
    return [_name(obj), _age(obj, ago), spec.get("signerName", ""), spec.get("username", ""), duration, ",".join(words)]


_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _modes(modes: Iterable[str]) -> str:
    return ",".join(_MODES.get(mode, mode) for mode in modes)


def volume(obj: Object, ago: Ago) -> list[Any]:
    """A persistent volume."""
    spec, status = _spec(obj), _status(obj)
    reference = spec.get("claimRef") or {}
    claim_name = f"{reference.get('namespace')}/{reference.get('name')}" if reference else ""
    return [
        _name(obj),
        (spec.get("capacity") or {}).get("storage", ""),
        _modes(spec.get("accessModes") or ()),
        spec.get("persistentVolumeReclaimPolicy", "Retain"),
        "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", ""),
        claim_name,
        spec.get("storageClassName", ""),
        "<unset>",
        status.get("reason", ""),
        _age(obj, ago),
        spec.get("volumeMode", "Filesystem"),
    ]


def claim(obj: Object, ago: Ago) -> list[Any]:
    """A persistent volume claim."""
    spec, status = _spec(obj), _status(obj)
    phase = "Terminating" if obj["metadata"].get("deletionTimestamp") else status.get("phase", "")
    bound = bool(spec.get("volumeName"))
    capacity = (status.get("capacity") or {}).get("storage", "") if bound else ""
    modes = _modes(status.get("accessModes") or ()) if bound else ""
    storage_class = spec.get("storageClassName", "")
    mode = spec.get("volumeMode", "Filesystem")
    return [
        _name(obj),
        phase,
        spec.get("volumeName", ""),
        capacity,
        modes,
        storage_class,
        "<unset>",
        _age(obj, ago),
        mode,
    ]


def budget(obj: Object, ago: Ago) -> list[Any]:
    """A pod disruption budget."""
    spec = _spec(obj)
    least, most = spec.get("minAvailable", "N/A"), spec.get("maxUnavailable", "N/A")
    return [_name(obj), str(least), str(most), _status(obj).get("disruptionsAllowed", 0), _age(obj, ago)]


def priority_class(obj: Object, ago: Ago) -> list[Any]:
    """A priority class."""
    policy = obj.get("preemptionPolicy", "PreemptLowerPriority")
    return [_name(obj), obj.get("value", 0), str(bool(obj.get("globalDefault"))).lower(), _age(obj, ago), policy]


def runtime_class(obj: Object, ago: Ago) -> list[Any]:
    """NAME HANDLER AGE."""
    return [_name(obj), obj.get("handler", ""), _age(obj, ago)]


def binding(obj: Object, ago: Ago) -> list[Any]:
    """A role binding or cluster role binding."""
    reference = obj.get("roleRef") or {}
    subjects = obj.get("subjects") or ()
    users = ", ".join(item["name"] for item in subjects if item.get("kind") == "User")
    groups = ", ".join(item["name"] for item in subjects if item.get("kind") == "Group")
    accounts = (item for item in subjects if item.get("kind") == "ServiceAccount")
    names = ", ".join(f"{item.get('namespace', '')}/{item['name']}" for item in accounts)
    role = f"{reference.get('kind')}/{reference.get('name')}"
    return [_name(obj), role, _age(obj, ago), users, groups, names]


def csi_node(obj: Object, ago: Ago) -> list[Any]:
    """NAME DRIVERS AGE."""
    return [_name(obj), len(_spec(obj).get("drivers") or ()), _age(obj, ago)]
