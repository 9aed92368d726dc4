"""Flags that several programs have. The form of the table: flagtable."""

SERVING = """
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
DELEGATED = """
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
ELECTION = """
leader-elect bool =true
leader-elect-lease-duration duration =15s
leader-elect-renew-deadline duration =10s
leader-elect-resource-lock string =leases
leader-elect-resource-name string =@NAME@
leader-elect-resource-namespace string =kube-system
leader-elect-retry-period duration =2s
"""
GATES = """
emulated-version slice
feature-gates gates
min-compatibility-version slice
"""
LAST = """
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
