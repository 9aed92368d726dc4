"""Fields of KubeletConfiguration v1beta1: name, type, default, in the order /configz shows them.

A type ending in `?` is a pointer upstream: only an absent value takes the default; for the others zero does too.
`object:Name` has its own table below.
"""

from typing import Any, NamedTuple

_TABLES = """
KubeletConfiguration
enableServer bool? true
staticPodPath string
podLogsDir string "/var/log/pods"
syncFrequency duration "1m0s"
fileCheckFrequency duration "20s"
httpCheckFrequency duration "20s"
staticPodURL string
staticPodURLHeader header
address string "0.0.0.0"
port int32 10250
readOnlyPort int32
tlsCertFile string
tlsPrivateKeyFile string
tlsCipherSuites []string
tlsMinVersion string
tlsCurvePreferences []int32
rotateCertificates bool
serverTLSBootstrap bool
authentication object:KubeletAuthentication
authorization object:KubeletAuthorization
registryPullQPS int32? 5
registryBurst int32 10
imagePullCredentialsVerificationPolicy string "NeverVerifyPreloadedImages"
preloadedImagesVerificationAllowlist []string
eventRecordQPS int32? 50
eventBurst int32 100
enableDebuggingHandlers bool? true
enableContentionProfiling bool
healthzPort int32? 10248
healthzBindAddress string "127.0.0.1"
oomScoreAdj int32? -999
clusterDomain string
clusterDNS []string
streamingConnectionIdleTimeout duration "4h0m0s"
nodeStatusUpdateFrequency duration "10s"
nodeStatusReportFrequency duration "5m0s"
nodeLeaseDurationSeconds int32 40
imageMinimumGCAge duration "2m0s"
imageMaximumGCAge duration "0s"
imageGCHighThresholdPercent int32? 85
imageGCLowThresholdPercent int32? 80
volumeStatsAggPeriod duration "1m0s"
kubeletCgroups string
systemCgroups string
cgroupRoot string
cgroupsPerQOS bool? true
cgroupDriver string "cgroupfs"
cpuManagerPolicy string "none"
singleProcessOOMKill bool?
cpuManagerPolicyOptions map[string]string
cpuManagerReconcilePeriod duration "10s"
memoryManagerPolicy string "None"
topologyManagerPolicy string "none"
topologyManagerScope string "container"
topologyManagerPolicyOptions map[string]string
qosReserved map[string]string
runtimeRequestTimeout duration "2m0s"
hairpinMode string "promiscuous-bridge"
maxPods int32 110
podCIDR string
podPidsLimit int64? -1
resolvConf string? "/etc/resolv.conf"
runOnce bool
cpuCFSQuota bool? true
cpuCFSQuotaPeriod duration? "100ms"
nodeStatusMaxImages int32? 50
maxOpenFiles int64 1000000
contentType string "application/vnd.kubernetes.protobuf"
kubeAPIQPS int32? 50
kubeAPIBurst int32 100
serializeImagePulls bool? true
maxParallelImagePulls int32?
evictionHard map[string]string
evictionSoft map[string]string
evictionSoftGracePeriod map[string]string
evictionPressureTransitionPeriod duration "5m0s"
evictionMaxPodGracePeriod int32
evictionMinimumReclaim map[string]string
mergeDefaultEvictionSettings bool? false
podsPerCore int32
enableControllerAttachDetach bool? true
protectKernelDefaults bool
makeIPTablesUtilChains bool? true
iptablesMasqueradeBit int32? 14
iptablesDropBit int32? 15
featureGates map[string]bool
failSwapOn bool? true
memorySwap object:MemorySwapConfiguration
containerLogMaxSize string "10Mi"
containerLogMaxFiles int32? 5
containerLogMaxWorkers int32? 1
containerLogMonitorInterval duration? "10s"
configMapAndSecretChangeDetectionStrategy string "Watch"
systemReserved map[string]string
kubeReserved map[string]string
reservedSystemCPUs string
showHiddenMetricsForVersion string
systemReservedCgroup string
kubeReservedCgroup string
enforceNodeAllocatable []string ["pods"]
allowedUnsafeSysctls []string
volumePluginDir string "/usr/libexec/kubernetes/kubelet-plugins/volume/exec/"
providerID string
kernelMemcgNotification bool
logging object:LoggingConfiguration
enableSystemLogHandler bool? true
enableSystemLogQuery bool? false
shutdownGracePeriod duration "0s"
shutdownGracePeriodCriticalPods duration "0s"
shutdownGracePeriodByPodPriority []object:ShutdownGracePeriodByPodPriority
crashLoopBackOff object:CrashLoopBackOffConfig
reservedMemory []object:MemoryReservation
enableProfilingHandler bool? true
enableDebugFlagsHandler bool? true
seccompDefault bool? false
memoryThrottlingFactor float64? 0.9
memoryReservationPolicy string "None"
registerWithTaints []object:Taint
registerNode bool? true
tracing any
localStorageCapacityIsolation bool? true
containerRuntimeEndpoint string "unix:///run/containerd/containerd.sock"
imageServiceEndpoint string
failCgroupV1 bool? true
userNamespaces any

KubeletAuthentication
x509 object:KubeletX509Authentication
webhook object:KubeletWebhookAuthentication
anonymous object:KubeletAnonymousAuthentication

KubeletX509Authentication
clientCAFile string

KubeletWebhookAuthentication
enabled bool? true
cacheTTL duration "2m0s"

KubeletAnonymousAuthentication
enabled bool? false

KubeletAuthorization
mode string "Webhook"
webhook object:KubeletWebhookAuthorization

KubeletWebhookAuthorization
cacheAuthorizedTTL duration "5m0s"
cacheUnauthorizedTTL duration "30s"

MemorySwapConfiguration
swapBehavior string

CrashLoopBackOffConfig
maxContainerRestartPeriod duration? "5m0s"

LoggingConfiguration
format string "text"
flushFrequency timeOrDuration "5s"
verbosity uint32 0
vmodule []object:VModuleItem
options any {"text": {"infoBufferSize": "0"}, "json": {"infoBufferSize": "0"}}

VModuleItem
filePattern string
verbosity uint32

ShutdownGracePeriodByPodPriority
priority int32
shutdownGracePeriodSeconds int64

MemoryReservation
numaNode int32
limits any

Taint
key string
value string
effect string
timeAdded string
"""

DEFAULT_EVICTION_HARD = {
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
}


class Field(NamedTuple):
    """`default` is None when the field stays unset. `pointer`: zero is a value of its own."""

    kind: str
    pointer: bool
    default: Any


def _parse() -> dict[str, dict[str, Field]]:
    import json

    tables: dict[str, dict[str, Field]] = {}
    for block in _TABLES.strip().split("\n\n"):
        name, *lines = block.splitlines()
        fields = tables.setdefault(name, {})
        for line in lines:
            field, kind, *default = line.split(None, 2)
            value = json.loads(default[0]) if default else None
            fields[field] = Field(kind.rstrip("?"), kind.endswith("?"), value)
    return tables


STRUCTS = _parse()
"""By Go structure name: JSON field name → Field."""
