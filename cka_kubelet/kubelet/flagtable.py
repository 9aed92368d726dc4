"""Every flag of the kubelet 1.36: name, kind of value, and the configuration field it sets.

One line a flag: `name kind [config.path] [=default]`. A flag with a config path is deprecated in favour of the file and
has that field's default; a mark such as `!csi` means that it is deprecated for another reason. Kinds are
those of kube/flagvalues.py.
"""

from cka_kubelet.kube.pflag import Flag

USE_CONFIG = (
    "This parameter should be set via the config file specified by the Kubelet's --config flag. See "
    "https://kubernetes.io/docs/tasks/administer-cluster/kubelet-config-file/ for more information."
)
_CADVISOR = (
    "This is a cadvisor flag that was mistakenly registered with the Kubelet. Due to legacy concerns, it will follow "
    "the standard CLI deprecation timeline before being removed."
)
_EVICTION = "Use --eviction-hard or --eviction-soft instead. Will be removed in a future version."

_TABLE = """
bootstrap-kubeconfig string
cert-dir string =/var/lib/kubelet/pki
cloud-provider string
config string
config-dir string
exit-on-lock-contention bool
experimental-allocatable-ignore-eviction bool !later
experimental-mounter-path string !csi
fail-cgroupv1 bool failCgroupV1
help bool
hostname-override string
image-credential-provider-bin-dir string
image-credential-provider-config string
kubeconfig string
lock-file string
log-flush-frequency duration logging.flushFrequency
log-json-info-buffer-size quantity logging.options.json.infoBufferSize
log-json-split-stream bool logging.options.json.splitStream
log-text-info-buffer-size quantity logging.options.text.infoBufferSize
log-text-split-stream bool logging.options.text.splitStream
logging-format string logging.format
maximum-dead-containers int32 !eviction =-1
maximum-dead-containers-per-container int32 !eviction =1
minimum-container-ttl-duration duration !eviction =0s
node-ip string
node-labels configmap
provider-id string
root-dir string =/var/lib/kubelet
runtime-cgroups string
v level logging.verbosity
version version
vmodule vmodule logging.vmodule
address ip address
allowed-unsafe-sysctls slice allowedUnsafeSysctls
anonymous-auth bool authentication.anonymous.enabled
authentication-token-webhook bool authentication.webhook.enabled
authentication-token-webhook-cache-ttl duration authentication.webhook.cacheTTL
authorization-mode string authorization.mode
authorization-webhook-cache-authorized-ttl duration authorization.webhook.cacheAuthorizedTTL
authorization-webhook-cache-unauthorized-ttl duration authorization.webhook.cacheUnauthorizedTTL
cgroup-driver string cgroupDriver
cgroup-root string cgroupRoot
cgroups-per-qos bool cgroupsPerQOS
client-ca-file string authentication.x509.clientCAFile
cluster-dns slice clusterDNS
cluster-domain string clusterDomain
container-log-max-files int32 containerLogMaxFiles
container-log-max-size string containerLogMaxSize
container-runtime-endpoint string containerRuntimeEndpoint
contention-profiling bool enableContentionProfiling
cpu-cfs-quota bool cpuCFSQuota
cpu-cfs-quota-period duration cpuCFSQuotaPeriod
cpu-manager-policy string cpuManagerPolicy
cpu-manager-policy-options map cpuManagerPolicyOptions
cpu-manager-reconcile-period duration cpuManagerReconcilePeriod
enable-controller-attach-detach bool enableControllerAttachDetach
enable-debugging-handlers bool enableDebuggingHandlers
enable-server bool enableServer
enforce-node-allocatable slice enforceNodeAllocatable
event-burst int32 eventBurst
event-qps int32 eventRecordQPS
eviction-hard thresholds evictionHard
eviction-max-pod-grace-period int32 evictionMaxPodGracePeriod
eviction-minimum-reclaim map evictionMinimumReclaim
eviction-pressure-transition-period duration evictionPressureTransitionPeriod
eviction-soft thresholds evictionSoft
eviction-soft-grace-period map evictionSoftGracePeriod
fail-swap-on bool failSwapOn
feature-gates boolmap featureGates
file-check-frequency duration fileCheckFrequency
hairpin-mode string hairpinMode
healthz-bind-address ip healthzBindAddress
healthz-port int32 healthzPort
http-check-frequency duration httpCheckFrequency
image-gc-high-threshold int32 imageGCHighThresholdPercent
image-gc-low-threshold int32 imageGCLowThresholdPercent
image-service-endpoint string imageServiceEndpoint
kernel-memcg-notification bool kernelMemcgNotification
kube-api-burst int32 kubeAPIBurst
kube-api-content-type string contentType
kube-api-qps int32 kubeAPIQPS
kube-reserved map kubeReserved
kube-reserved-cgroup string kubeReservedCgroup
kubelet-cgroups string kubeletCgroups
local-storage-capacity-isolation bool localStorageCapacityIsolation
make-iptables-util-chains bool makeIPTablesUtilChains
manifest-url string staticPodURL
manifest-url-header header staticPodURLHeader
max-open-files int64 maxOpenFiles
max-pods int32 maxPods
memory-manager-policy string memoryManagerPolicy
minimum-image-ttl-duration duration imageMinimumGCAge
node-status-max-images int32 nodeStatusMaxImages
node-status-update-frequency duration nodeStatusUpdateFrequency
oom-score-adj int32 oomScoreAdj
pod-cidr string podCIDR
pod-manifest-path string staticPodPath
pod-max-pids int64 podPidsLimit
pods-per-core int32 podsPerCore
port int32 port
protect-kernel-defaults bool protectKernelDefaults
qos-reserved map qosReserved
read-only-port int32 readOnlyPort
register-node bool registerNode
register-with-taints taints registerWithTaints
registry-burst int32 registryBurst
registry-qps int32 registryPullQPS
reserved-cpus string reservedSystemCPUs
reserved-memory string reservedMemory
resolv-conf string resolvConf
rotate-certificates bool rotateCertificates
rotate-server-certificates bool serverTLSBootstrap
runonce bool runOnce
runtime-request-timeout duration runtimeRequestTimeout
seccomp-default bool seccompDefault
serialize-image-pulls bool serializeImagePulls
streaming-connection-idle-timeout duration streamingConnectionIdleTimeout
sync-frequency duration syncFrequency
system-cgroups string systemCgroups
system-reserved map systemReserved
system-reserved-cgroup string systemReservedCgroup
tls-cert-file string tlsCertFile
tls-cipher-suites slice tlsCipherSuites
tls-min-version string tlsMinVersion
tls-private-key-file string tlsPrivateKeyFile
topology-manager-policy string topologyManagerPolicy
topology-manager-policy-options map topologyManagerPolicyOptions
topology-manager-scope string topologyManagerScope
volume-plugin-dir string volumePluginDir
volume-stats-agg-period duration volumeStatsAggPeriod
application-metrics-count-limit int32 !cadvisor =100
boot-id-file string !cadvisor =/proc/sys/kernel/random/boot_id
container-hints string !cadvisor =/etc/cadvisor/container_hints.json
containerd string !cadvisor =/run/containerd/containerd.sock
containerd-namespace string !cadvisor =k8s.io
enable-load-reader bool !cadvisor
event-storage-age-limit string !cadvisor =default=0
event-storage-event-limit string !cadvisor =default=0
global-housekeeping-interval duration !cadvisor =1m0s
housekeeping-interval duration =10s
log-cadvisor-usage bool !cadvisor
machine-id-file string !cadvisor =/etc/machine-id,/var/lib/dbus/machine-id
storage-driver-buffer-duration duration !cadvisor =1m0s
storage-driver-db string !cadvisor =cadvisor
storage-driver-host string !cadvisor =localhost:8086
storage-driver-password string !cadvisor =root
storage-driver-secure bool !cadvisor
storage-driver-table string !cadvisor =stats
storage-driver-user string !cadvisor =root
"""
_REASONS = {
    "!cadvisor": _CADVISOR,
    "!csi": "will be removed in 1.25 or later. in favor of using CSI.",
    "!eviction": _EVICTION,
    "!later": "will be removed in 1.25 or later.",
}
_CURRENT = frozenset({"v", "vmodule", "log-flush-frequency", "seccomp-default", "fail-cgroupv1"})
"""Flags that set a field and are not deprecated."""


def _flag(line: str) -> Flag:
    name, kind, *rest = line.split()
    default = rest.pop()[1:] if rest and rest[-1].startswith("=") else ""
    extra = rest[0] if rest else ""
    if extra.startswith("!"):
        return Flag(name, kind, "", _REASONS[extra], default)
    return Flag(name, kind, extra, USE_CONFIG if extra and name not in _CURRENT else "", default)


FLAGS: dict[str, Flag] = {flag.name: flag for flag in map(_flag, _TABLE.strip().splitlines())}
