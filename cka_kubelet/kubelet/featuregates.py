"""Which feature gates are on in the kubelet."""

from cka_kubelet.kubelet.configuration import KubeletConfiguration

_OFF = """
AllAlpha AllBeta CPUManagerPolicyAlphaOptions CSIVolumeHealth EventedPLEG HPAScaleToZero
InPlacePodVerticalScalingExclusiveCPUs InPlacePodVerticalScalingExclusiveMemory KubeletInUserNamespace
LocalStorageCapacityIsolationFSQuotaMonitoring LoggingAlphaOptions MemoryQoS PodAndContainerStatsFromCRI QOSReserved
TopologyManagerPolicyAlphaOptions
"""
"""Gates that are off unless set, among those whose state the kubelet asks for."""
_DEFAULT_OFF = frozenset(_OFF.split())


STAGES = {
    "ComponentFlagz": "BETA", "ComponentStatusz": "BETA", "ContainerCheckpoint": "BETA", "GracefulNodeShutdown": "BETA",
    "GracefulNodeShutdownBasedOnPodPriority": "BETA", "ImageMaximumGCAge": "", "LoggingAlphaOptions": "ALPHA",
    "MemoryQoS": "ALPHA", "NodeDeclaredFeatures": "BETA", "RotateKubeletServerCertificate": "BETA",
}  # fmt: skip
"""The stage in 1.36 of every gate that changes what this kubelet does; "" is GA."""


def enabled(config: KubeletConfiguration, gate: str) -> bool:
    """Whether a gate is on: as the configuration says, else by its default in 1.36."""
    return bool((config.get("featureGates") or {}).get(gate, gate not in _DEFAULT_OFF))
