"""Every flag of kube-apiserver 1.36. The form of the table: flagtable."""

from cka_kubelet.controlplane.sharedflags import GATES, LAST, SERVING

TABLE = (
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
    + GATES
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
    + SERVING.replace("cert-dir string", "cert-dir string =/var/run/kubernetes").replace("@PORT@", "6443")
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
    + LAST
)
