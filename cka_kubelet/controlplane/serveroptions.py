"""What kube-apiserver checks of its flags before it starts, in upstream's words and order."""

import ipaddress
from collections.abc import Iterator

from cka_kubelet.controlplane.flags import Settings
from cka_kubelet.kube.gofmt import quote

_MODES = ("ABAC", "AlwaysAllow", "AlwaysDeny", "Node", "RBAC", "Webhook")
_MEDIA_TYPES = ("application/cbor", "application/json", "application/vnd.kubernetes.protobuf", "application/yaml")
MUTATING = (
    "NamespaceAutoProvision", "NamespaceLifecycle", "NamespaceExists", "AlwaysPullImages", "LimitRanger",
    "ServiceAccount", "NodeRestriction", "TaintNodesByCondition", "ExtendedResourceToleration", "PodNodeSelector",
    "Priority", "DefaultTolerationSeconds", "PodTolerationRestriction", "DefaultStorageClass",
    "StorageObjectInUseProtection", "RuntimeClass", "DefaultIngressClass", "PodTopologyLabels",
    "MutatingAdmissionPolicy", "MutatingAdmissionWebhook",
)  # fmt: skip
"""Admission plugins that may change an object, in the order they run in."""
VALIDATING = (
    "NamespaceExists", "LimitRanger", "ServiceAccount", "PodSecurity",
    "Priority", "EventRateLimit", "PodTolerationRestriction", "OwnerReferencesPermissionEnforcement",
    "PersistentVolumeClaimResize", "RuntimeClass", "CertificateApproval", "CertificateSigning",
    "ClusterTrustBundleAttest", "CertificateSubjectRestriction", "ImagePolicyWebhook",
    "LimitPodHardAntiAffinityTopology", "DenyServiceExternalIPs", "ValidatingAdmissionPolicy",
    "ValidatingAdmissionWebhook", "ResourceQuota", "AlwaysAdmit", "AlwaysDeny",
)  # fmt: skip
_DEFAULT = frozenset({
    "NamespaceLifecycle", "LimitRanger", "ServiceAccount", "TaintNodesByCondition", "PodSecurity", "Priority",
    "DefaultTolerationSeconds", "DefaultStorageClass", "StorageObjectInUseProtection", "PersistentVolumeClaimResize",
    "RuntimeClass", "CertificateApproval", "CertificateSigning", "ClusterTrustBundleAttest",
    "CertificateSubjectRestriction", "DefaultIngressClass", "PodTopologyLabels", "MutatingAdmissionPolicy",
    "MutatingAdmissionWebhook", "ValidatingAdmissionPolicy", "ValidatingAdmissionWebhook", "ResourceQuota",
})  # fmt: skip
PLUGINS = frozenset((*MUTATING, *VALIDATING))


def problems(settings: Settings) -> list[str]:
    """Everything that is wrong; empty when the server may start."""
    return [
        *_general(settings),
        *_etcd(settings),
        *_serving(settings),
        *_authentication(settings),
        *_authorization(settings),
        *_audit(settings),
        *_admission(settings),
        *_tokens(settings),
        *_ranges(settings),
    ]


def plugins(settings: Settings) -> frozenset[str]:
    """The admission plugins that are on."""
    enabled = settings.words("enable-admission-plugins") + settings.words("admission-control")
    return (_DEFAULT | set(enabled)) - set(settings.words("disable-admission-plugins"))


def modes(settings: Settings) -> list[str]:
    """The authorizers, in the order they are asked in."""
    return settings.words("authorization-mode") or ["AlwaysAllow"]


def _general(settings: Settings) -> Iterator[str]:
    if settings.seconds("livez-grace-period") < 0:
        yield "--livez-grace-period can not be a negative value"
    for name in ("max-requests-inflight", "max-mutating-requests-inflight"):
        if settings.number(name) < 0:
            yield f"--{name} can not be negative value"
    if settings.seconds("request-timeout") < 0:
        yield "--request-timeout can not be negative value"
    if not 0 <= float(settings.value("goaway-chance") or 0) <= 0.02:
        yield "--goaway-chance can not be less than 0 or greater than 0.02"
    if settings.number("min-request-timeout") < 0:
        yield "--min-request-timeout can not be negative value"
    for name in ("storage-initialization-timeout", "shutdown-delay-duration"):
        if settings.seconds(name) < 0:
            yield f"--{name} can not be negative value"


def _etcd(settings: Settings) -> Iterator[str]:
    if not settings.words("etcd-servers") and not settings.text("data-dir"):
        yield "--etcd-servers must be specified"
    if settings.text("storage-backend") not in ("", "etcd3"):
        yield "--storage-backend invalid, allowed values: etcd3. If not specified, it will default to 'etcd3'"
    if settings.on("encryption-provider-config-automatic-reload") and not settings.text("encryption-provider-config"):
        yield "--encryption-provider-config-automatic-reload must be set with --encryption-provider-config"
    media_type = settings.text("storage-media-type")
    if media_type and media_type not in _MEDIA_TYPES:
        yield f"--storage-media-type {quote(media_type)} invalid, allowed values: {', '.join(_MEDIA_TYPES)}"


def _serving(settings: Settings) -> Iterator[str]:
    port = settings.number("secure-port")
    if not 1 <= port <= 65535:
        yield f"--secure-port {port} must be between 1 and 65535, inclusive. It cannot be turned off with 0"


def _authentication(settings: Settings) -> Iterator[str]:
    issuers = settings.words("service-account-issuer")
    if not issuers:
        yield "service-account-issuer is a required flag"
    for index, issuer in enumerate(issuers):
        if not issuer:
            yield "service-account-issuer should not be an empty string"
        elif issuer in issuers[:index]:
            yield f"service-account-issuer {quote(issuer)} is already specified"
    if not settings.words("service-account-key-file"):
        yield "service-account-key-file is a required flag"


def _authorization(settings: Settings) -> Iterator[str]:
    if settings.text("authorization-config"):
        if settings.given("authorization-mode"):
            yield (
                "--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* "
                "flags are defined"
            )
        return
    modes = settings.words("authorization-mode") if settings.given("authorization-mode") else ["AlwaysAllow"]
    if not modes:
        yield "at least one authorization-mode must be passed"
    for mode in modes:
        if mode not in _MODES:
            yield f"authorization-mode {quote(mode)} is not a valid mode"
        if mode == "ABAC" and not settings.text("authorization-policy-file"):
            yield "authorization-mode ABAC's authorization policy file not passed"
        if mode == "Webhook" and not settings.text("authorization-webhook-config-file"):
            yield "authorization-mode Webhook's authorization config file not passed"
    if settings.text("authorization-policy-file") and "ABAC" not in modes:
        yield "cannot specify --authorization-policy-file without mode ABAC"
    if settings.text("authorization-webhook-config-file") and "Webhook" not in modes:
        yield "cannot specify --authorization-webhook-config-file without mode Webhook"
    if len(set(modes)) != len(modes):
        listed = " ".join(quote(mode) for mode in modes)
        yield f"authorization-mode [{listed}] has mode specified more than once"


def _audit(settings: Settings) -> Iterator[str]:
    for plugin in ("log", "webhook"):
        if not settings.text({"log": "audit-log-path", "webhook": "audit-webhook-config-file"}[plugin]):
            continue
        mode = settings.text(f"audit-{plugin}-mode")
        if mode not in ("batch", "blocking", "blocking-strict"):
            yield f'invalid audit {plugin} mode {mode}, allowed modes are "batch,blocking,blocking-strict"'
    if settings.text("audit-log-path"):
        form = settings.text("audit-log-format")
        if form not in ("legacy", "json"):
            yield f'invalid audit log format {form}, allowed formats are "legacy,json"'
        for name in ("audit-log-maxage", "audit-log-maxbackup", "audit-log-maxsize"):
            if settings.number(name) < 0:
                yield f"--{name} {settings.number(name)} can't be a negative number"


def _admission(settings: Settings) -> Iterator[str]:
    if settings.given("admission-control") and (
        settings.given("enable-admission-plugins") or settings.given("disable-admission-plugins")
    ):
        yield "admission-control and enable-admission-plugins/disable-admission-plugins flags are mutually exclusive"
    enabled, disabled = settings.words("enable-admission-plugins"), settings.words("disable-admission-plugins")
    for flag, names in (("enable", enabled), ("disable", disabled)):
        for name in names:
            if name not in PLUGINS:
                yield f"{flag}-admission-plugins plugin {quote(name)} is unknown"
    both = sorted(set(enabled) & set(disabled))
    if both:
        yield f"[{' '.join(both)}] in enable-admission-plugins and disable-admission-plugins overlapped"


def _tokens(settings: Settings) -> Iterator[str]:
    issuers = settings.words("service-account-issuer")
    signing = settings.text("service-account-signing-key-file")
    if not signing and not any(issuers) and not settings.words("api-audiences"):
        yield "--service-account-signing-key-file and --service-account-issuer are required flags"
    elif not signing or not any(issuers):
        yield (
            "--service-account-signing-key-file, --service-account-issuer, and --api-audiences should be specified "
            "together"
        )


def _ranges(settings: Settings) -> Iterator[str]:
    ranges = settings.text("service-cluster-ip-range").split(",")
    if len(ranges) > 2:
        yield "--service-cluster-ip-range must not contain more than two entries"


def service_network(settings: Settings) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """The first range of --service-cluster-ip-range, upstream's default without one. Raises ValueError."""
    text = settings.text("service-cluster-ip-range").partition(",")[0] or "10.0.0.0/24"
    try:
        network = ipaddress.ip_network(text if "/" in text else "", strict=False)
    except ValueError as error:
        raise ValueError("service-cluster-ip-range[0] is not a valid cidr") from error
    if network.num_addresses < 8:
        raise ValueError(
            "error determining service IP ranges for primary service cidr: the service cluster IP range "
            "must be at least 8 IP addresses"
        )
    return network
