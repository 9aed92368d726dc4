"""Every flag of kube-apiserver, kube-controller-manager and kube-scheduler 1.36, in the sections of their help.

One line a flag: `name kind [=default]`, below `[section]`; `!text` instead of a default is why it is deprecated. Kinds
are those of kube/flagvalues.py. Tables that are not asked for are not built.
"""

from cka_kubelet.kube.pflag import Flag

Sections = dict[str, list[Flag]]

_SERVING = """
[secure serving]
bind-address ip =0.0.0.0
cert-dir string
disable-http2-serving bool
http2-max-streams-per-connection int64
permit-address-sharing bool
permit-port-sharing bool
secure-port int64 =@PORT@
tls-cert-file string
tls-cipher-suites slice
tls-curve-preferences int32slice
tls-min-version string
tls-private-key-file string
tls-sni-cert-key certkey
"""
_DELEGATED = """
[authentication]
authentication-kubeconfig string
authentication-skip-lookup bool
authentication-token-webhook-cache-ttl duration =10s
authentication-tolerate-lookup-failure bool =@TOLERATE@
client-ca-file string
requestheader-allowed-names slice
requestheader-client-ca-file string
requestheader-extra-headers-prefix slice =x-remote-extra-
requestheader-group-headers slice =x-remote-group
requestheader-uid-headers slice
requestheader-username-headers slice =x-remote-user
[authorization]
authorization-always-allow-paths slice =/healthz,/readyz,/livez
authorization-kubeconfig string
authorization-webhook-cache-authorized-ttl duration =10s
authorization-webhook-cache-unauthorized-ttl duration =10s
"""
_ELECTION = """
leader-elect bool =true
leader-elect-lease-duration duration =15s
leader-elect-renew-deadline duration =10s
leader-elect-resource-lock string =leases
leader-elect-resource-name string =@NAME@
leader-elect-resource-namespace string =kube-system
leader-elect-retry-period duration =2s
"""
_GATES = """
emulated-version slice
feature-gates gates
min-compatibility-version slice
"""
_LAST = """
[metrics]
allow-metric-labels pairs
allow-metric-labels-manifest string
disabled-metrics slice
show-hidden-metrics-for-version string
[logs]
log-flush-frequency duration =5s
log-json-info-buffer-size quantity
log-json-split-stream bool
log-text-info-buffer-size quantity
log-text-split-stream bool
logging-format string =text
v level
vmodule vmodule
[global]
help bool
version version
"""
_API_SERVER = (
    """
[generic]
advertise-address ip
cors-allowed-origins slice
emulation-forward-compatible bool
external-hostname string
goaway-chance float
livez-grace-period duration
max-mutating-requests-inflight int64 =200
max-requests-inflight int64 =400
min-request-timeout int64 =1800
request-timeout duration =1m0s
runtime-config-emulation-forward-compatible bool
shutdown-delay-duration duration
shutdown-send-retry-after bool
shutdown-watch-termination-grace-period duration
storage-initialization-timeout duration =1m0s
strict-transport-security-directives slice
"""
    + _GATES
    + """
[etcd]
default-watch-cache-size int64 !watch caches are sized automatically and this flag will be removed in a future version
delete-collection-workers int64 =1
enable-garbage-collector bool =true
encryption-provider-config string
encryption-provider-config-automatic-reload bool
etcd-cafile string
etcd-certfile string
etcd-compaction-interval duration =5m0s
etcd-count-metric-poll-period duration =1m0s
etcd-db-metric-poll-interval duration =30s
etcd-healthcheck-timeout duration =2s
etcd-keyfile string
etcd-prefix string =/registry
etcd-readycheck-timeout duration =2s
etcd-servers slice
etcd-servers-overrides slice
lease-reuse-duration-seconds int64 =60
storage-backend string
storage-media-type string =application/vnd.kubernetes.protobuf
watch-cache bool =true
watch-cache-sizes slice
"""
    + _SERVING.replace("cert-dir string", "cert-dir string =/var/run/kubernetes").replace("@PORT@", "6443")
    + """
[auditing]
audit-log-batch-buffer-size int64 =10000
audit-log-batch-max-size int64 =1
audit-log-batch-max-wait duration
audit-log-batch-throttle-burst int64
audit-log-batch-throttle-enable bool
audit-log-batch-throttle-qps float
audit-log-compress bool
audit-log-format string =json
audit-log-maxage int64 =366
audit-log-maxbackup int64 =100
audit-log-maxsize int64 =100
audit-log-mode string =blocking
audit-log-path string
audit-log-truncate-enabled bool
audit-log-truncate-max-batch-size int64 =10485760
audit-log-truncate-max-event-size int64 =102400
audit-log-version string =audit.k8s.io/v1
audit-policy-file string
audit-webhook-batch-buffer-size int64 =10000
audit-webhook-batch-initial-backoff duration !Deprecated, use --audit-webhook-initial-backoff instead.
audit-webhook-batch-max-size int64 =400
audit-webhook-batch-max-wait duration =30s
audit-webhook-batch-throttle-burst int64 =15
audit-webhook-batch-throttle-enable bool =true
audit-webhook-batch-throttle-qps float =10
audit-webhook-config-file string
audit-webhook-initial-backoff duration =10s
audit-webhook-mode string =batch
audit-webhook-truncate-enabled bool
audit-webhook-truncate-max-batch-size int64 =10485760
audit-webhook-truncate-max-event-size int64 =102400
audit-webhook-version string =audit.k8s.io/v1
[features]
contention-profiling bool
debug-socket-path string
enable-priority-and-fairness bool =true
profiling bool =true
[authentication]
anonymous-auth bool =true
api-audiences slice
authentication-config string
authentication-token-webhook-cache-ttl duration =2m0s
authentication-token-webhook-config-file string
authentication-token-webhook-version string =v1beta1
client-ca-file string
enable-bootstrap-token-auth bool
oidc-ca-file string
oidc-client-id string
oidc-groups-claim string
oidc-groups-prefix string
oidc-issuer-url string
oidc-required-claim pairs
oidc-signing-algs slice =RS256
oidc-username-claim string =sub
oidc-username-prefix string
requestheader-allowed-names slice
requestheader-client-ca-file string
requestheader-extra-headers-prefix slice
requestheader-group-headers slice
requestheader-uid-headers slice
requestheader-username-headers slice
service-account-extend-token-expiration bool =true
service-account-issuer array
service-account-jwks-uri string
service-account-key-file array
service-account-lookup bool =true
service-account-max-token-expiration duration
token-auth-file string
[authorization]
authorization-config string
authorization-mode slice
authorization-policy-file string
authorization-webhook-cache-authorized-ttl duration =5m0s
authorization-webhook-cache-unauthorized-ttl duration =30s
authorization-webhook-config-file string
authorization-webhook-version string =v1beta1
[API enablement]
runtime-config configmap
[egress selector]
egress-selector-config-file string
[admission]
admission-control slice !Use --enable-admission-plugins or --disable-admission-plugins instead. Will be removed in a \
future version.
admission-control-config-file string
disable-admission-plugins slice
enable-admission-plugins slice
[traces]
tracing-config-file string
[misc]
aggregator-reject-forwarding-redirect bool =true
allow-privileged bool
apiserver-count int64 !apiserver-count is deprecated and will be removed in a future version.
coordinated-leadership-lease-duration duration =15s
coordinated-leadership-renew-deadline duration =10s
coordinated-leadership-retry-period duration =2s
enable-aggregator-routing bool
enable-logs-handler bool !This flag will be removed in v1.19
endpoint-reconciler-type string =lease
event-ttl duration =1h0m0s
kubelet-certificate-authority string
kubelet-client-certificate string
kubelet-client-key string
kubelet-port uint !kubelet-port is deprecated and will be removed.
kubelet-preferred-address-types slice =Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP
kubelet-read-only-port uint !kubelet-read-only-port is deprecated and will be removed.
kubelet-timeout duration =5s
kubernetes-service-node-port int64
max-connection-bytes-per-sec int64
peer-advertise-ip string
peer-advertise-port string
peer-ca-file string
proxy-client-cert-file string
proxy-client-key-file string
service-account-signing-endpoint string
service-account-signing-key-file string
service-cluster-ip-range string
service-node-port-range portrange =30000-32767
"""
    + _LAST
)
_CONTROLLER_MANAGER = (
    """
[debugging]
contention-profiling bool
profiling bool =true
[leader-migration]
enable-leader-migration bool
leader-migration-config string
[generic]
allocate-node-cidrs bool
allow-untagged-cloud bool !This flag is deprecated and will be removed in a future release. A cluster-id will be \
required on cloud instances.
cidr-allocator-type string =RangeAllocator
cloud-config string
cloud-provider string
cluster-cidr string
cluster-name string =kubernetes
configure-cloud-routes bool =true
controller-start-interval duration
controllers slice =*
external-cloud-volume-plugin string
kube-api-burst int32 =30
kube-api-content-type string =application/vnd.kubernetes.protobuf
kube-api-qps float =20
min-resync-period duration =12h0m0s
node-monitor-period duration =5s
node-sync-period duration !This flag is deprecated and will be removed in future releases. See node-monitor-period \
for Node health checking or route-reconciliation-period for cloud provider's route configuration settings.
route-reconciliation-period duration =10s
use-service-account-credentials bool
"""
    + _ELECTION.replace("@NAME@", "kube-controller-manager")
    + _GATES
    + _SERVING.replace("@PORT@", "10257")
    + _DELEGATED.replace("@TOLERATE@", "false")
    + """
[persistentvolume-attach-detach-controller]
attach-detach-reconcile-sync-period duration =1m0s
disable-attach-detach-reconcile-sync bool
disable-force-detach-on-timeout bool
[certificatesigningrequest-signing-controller]
cluster-signing-cert-file string
cluster-signing-duration duration =8760h0m0s
cluster-signing-key-file string
cluster-signing-kube-apiserver-client-cert-file string
cluster-signing-kube-apiserver-client-key-file string
cluster-signing-kubelet-client-cert-file string
cluster-signing-kubelet-client-key-file string
cluster-signing-kubelet-serving-cert-file string
cluster-signing-kubelet-serving-key-file string
cluster-signing-legacy-unknown-cert-file string
cluster-signing-legacy-unknown-key-file string
[cronjob-controller]
concurrent-cron-job-syncs int32 =5
[daemonset-controller]
concurrent-daemonset-syncs int32 =2
[deployment-controller]
concurrent-deployment-syncs int32 =5
[device-taint-eviction-controller]
concurrent-device-taint-eviction-syncs int32 =50
[endpoints-controller]
concurrent-endpoint-syncs int32 =5
endpoint-updates-batch-period duration
[endpointslice-controller]
concurrent-service-endpoint-syncs int32 =5
endpointslice-updates-batch-period duration
max-endpoints-per-slice int32 =100
[endpointslice-mirroring-controller]
mirroring-concurrent-service-endpoint-syncs int32 =5
mirroring-endpointslice-updates-batch-period duration
mirroring-max-endpoints-per-subset int32 =1000
[ephemeral-volume-controller]
concurrent-ephemeralvolume-syncs int32 =5
[garbage-collector-controller]
concurrent-gc-syncs int32 =20
enable-garbage-collector bool =true
[horizontal-pod-autoscaler-controller]
concurrent-horizontal-pod-autoscaler-syncs int32 =5
horizontal-pod-autoscaler-cpu-initialization-period duration =5m0s
horizontal-pod-autoscaler-downscale-stabilization duration =5m0s
horizontal-pod-autoscaler-initial-readiness-delay duration =30s
horizontal-pod-autoscaler-sync-period duration =15s
horizontal-pod-autoscaler-tolerance float =0.1
[job-controller]
concurrent-job-syncs int32 =5
[legacy-serviceaccount-token-cleaner-controller]
legacy-service-account-token-clean-up-period duration =8760h0m0s
[namespace-controller]
concurrent-namespace-syncs int32 =10
namespace-sync-period duration =5m0s
[node-ipam-controller]
node-cidr-mask-size int32
node-cidr-mask-size-ipv4 int32
node-cidr-mask-size-ipv6 int32
service-cluster-ip-range string
[node-lifecycle-controller]
large-cluster-size-threshold int32 =50
node-eviction-rate float =0.1
node-monitor-grace-period duration =50s
node-startup-grace-period duration =1m0s
secondary-node-eviction-rate float =0.01
unhealthy-zone-threshold float =0.55
[persistentvolume-binder-controller]
enable-dynamic-provisioning bool =true
enable-hostpath-provisioner bool
flex-volume-plugin-dir string =/usr/libexec/kubernetes/kubelet-plugins/volume/exec/
pv-recycler-increment-timeout-nfs int32 =30
pv-recycler-minimum-timeout-hostpath int32 =60
pv-recycler-minimum-timeout-nfs int32 =300
pv-recycler-pod-template-filepath-hostpath string
pv-recycler-pod-template-filepath-nfs string
pv-recycler-timeout-increment-hostpath int32 =30
pvclaimbinder-sync-period duration =15s
[pod-garbage-collector-controller]
terminated-pod-gc-threshold int32 =12500
[replicaset-controller]
concurrent-replicaset-syncs int32 =5
[replicationcontroller-controller]
concurrent-rc-syncs int32 =5
[resourceclaim-controller]
concurrent-resource-claim-syncs int32 =50
[resourcequota-controller]
concurrent-resource-quota-syncs int32 =5
resource-quota-sync-period duration =5m0s
[service-lb-controller]
concurrent-service-syncs int32 =1
[serviceaccount-controller]
concurrent-serviceaccount-token-syncs int32 =5
root-ca-file string
service-account-private-key-file string
[statefulset-controller]
concurrent-statefulset-syncs int32 =5
[ttl-after-finished-controller]
concurrent-ttl-after-finished-syncs int32 =5
[validatingadmissionpolicy-status-controller]
concurrent-validating-admission-policy-status-syncs int32 =5
[misc]
kubeconfig string
master string
"""
    + _LAST
)
_SCHEDULER = (
    """
[misc]
config string
master string
write-config-to string
"""
    + _SERVING.replace("@PORT@", "10259")
    + _DELEGATED.replace("@TOLERATE@", "true")
    + """
[deprecated]
contention-profiling bool =true
kube-api-burst int32 =100
kube-api-content-type string =application/vnd.kubernetes.protobuf
kube-api-qps float =50
kubeconfig string
pod-max-in-unschedulable-pods-duration duration =5m0s
profiling bool =true
[leader election]
"""
    + _ELECTION.replace("@NAME@", "kube-scheduler")
    + "[feature gate]"
    + _GATES
    + _LAST
)


def _flag(line: str) -> Flag:
    name, kind, *rest = line.split(maxsplit=2)
    extra = rest[0] if rest else ""
    if extra.startswith("!"):
        return Flag(name, kind, deprecated=extra[1:])
    return Flag(name, kind, default=extra[1:])


def _sections(table: str) -> Sections:
    found: Sections = {}
    section: list[Flag] = []
    for line in filter(None, table.splitlines()):
        if line.startswith("["):
            section = found.setdefault(line.strip("[]"), [])
        else:
            section.append(_flag(line))
    return found


def api_server() -> Sections:
    """kube-apiserver's, and where objects are kept without etcd."""
    return {**_sections(_API_SERVER), "embedded storage": [Flag("data-dir", "string")]}


def controller_manager() -> Sections:
    """kube-controller-manager's."""
    return _sections(_CONTROLLER_MANAGER)


def scheduler() -> Sections:
    """kube-scheduler's."""
    return _sections(_SCHEDULER)


def all_in_one() -> Sections:
    """Those of the API server, and what the controller manager has besides."""
    server = api_server()
    taken = {flag.name for section in server.values() for flag in section}
    others = (flag for section in controller_manager().values() for flag in section if flag.name not in taken)
    return {**server, "controllers": list(others)}
