"""The built-in faults. `FAULTS` is what the loader reads; README.md beside this file teaches writing another."""

from cka_kubelet.faults import Fault
from fault_injectors.client_ca_file_wrong import ClientCAFileWrong
from fault_injectors.client_certificate import (
    ClientCertificateLinkBroken,
    ClientCertificateOfAnother,
    ClientKeyOfAnother,
)
from fault_injectors.client_certificate_expired import ClientCertificateExpired
from fault_injectors.cni_config_malformed import CNIConfigMalformed
from fault_injectors.cni_config_missing import CNIConfigMissing
from fault_injectors.containerd_config import ContainerdConfigBroken, ContainerdSocketMoved, CRIPluginDisabled
from fault_injectors.containerd_stopped import ContainerdStopped
from fault_injectors.control_plane_pods import StaticPodFlag, StaticPodImage, StaticPodMoved, StaticPodProgram
from fault_injectors.deployments import (
    CommandMisspelt,
    ConfigKeyMissing,
    HandlerUnknown,
    ImageMisspelt,
    LivenessPathWrong,
    NodeSelectorWrong,
    PullForbidden,
    ReadinessPortWrong,
    RequestTooLarge,
    VolumeTypeWrong,
)
from fault_injectors.exec_path_wrong import ExecPathWrong
from fault_injectors.identity import ExtraArgumentSplit, HostnameOverridden, KubeconfigPlainHTTP, KubeconfigWrongUser
from fault_injectors.kubeconfig_lost import KubeconfigMoved, KubeconfigWrongContext, KubeconfigWrongHost
from fault_injectors.kubeconfig_wrong_ca import KubeconfigWrongCA
from fault_injectors.kubeconfig_wrong_port import KubeconfigWrongPort
from fault_injectors.kubelet_config import ConfigIndented, ConfigVersionWrong, ReservedTooMuch, RuntimeEndpointWrong
from fault_injectors.kubelet_config_values import (
    AuthorizationModeWrong,
    ConfigMoved,
    ConfigWrongType,
    CPUPolicyStatic,
    FeatureGateGone,
)
from fault_injectors.kubelet_masked import KubeletMasked
from fault_injectors.kubelet_serving import (
    ClientCAOther,
    DebuggingHandlersOff,
    PodsLimited,
    ReservedAlmostAll,
    ResolvConfMissing,
    StaticPodPathWrong,
)
from fault_injectors.kubelet_stopped import KubeletStopped
from fault_injectors.kubelet_unit import (
    KubeletFrozen,
    KubeletNotExecutable,
    KubeletOtherConfig,
    KubeletStandalone,
    KubeletStartLimit,
    KubeletUnprivileged,
    UnitNotReloaded,
)
from fault_injectors.node_firewall import PortFiltered
from fault_injectors.node_network import APIServerFiltered, KubeletPortTaken
from fault_injectors.node_object import NodeCordoned, NodeTainted
from fault_injectors.put_back import EndpointPutBack, FlagsPutBack
from fault_injectors.runtime_client import ClientEndpointWrong
from fault_injectors.sandboxes import (
    NetworkPluginMissing,
    NetworkPluginMisspelt,
    RuntimeBinaryWrong,
    SandboxImageWrong,
)
from fault_injectors.static_pods import StaticPod
from fault_injectors.unknown_flag import UnknownFlag

FAULTS: tuple[Fault, ...] = (
    KubeletStopped(),
    ContainerdStopped(),
    KubeconfigWrongPort(),
    KubeconfigWrongCA(),
    ClientCertificateExpired(),
    ClientCAFileWrong(),
    UnknownFlag(),
    CNIConfigMissing(),
    KubeletMasked(),
    ExecPathWrong(),
    RuntimeEndpointWrong(),
    ConfigIndented(),
    ConfigVersionWrong(),
    ReservedTooMuch(),
    KubeconfigMoved(),
    KubeconfigWrongHost(),
    KubeconfigWrongContext(),
    CNIConfigMalformed(),
    ClientEndpointWrong(),
    PortFiltered(),
    DebuggingHandlersOff(),
    ClientCAOther(),
    PodsLimited(),
    ReservedAlmostAll(),
    ResolvConfMissing(),
    StaticPodPathWrong(),
    SandboxImageWrong(),
    RuntimeBinaryWrong(),
    NetworkPluginMissing(),
    NetworkPluginMisspelt(),
    NodeTainted(),
    NodeCordoned(),
    ImageMisspelt(),
    PullForbidden(),
    CommandMisspelt(),
    ReadinessPortWrong(),
    LivenessPathWrong(),
    ConfigKeyMissing(),
    NodeSelectorWrong(),
    RequestTooLarge(),
    HandlerUnknown(),
    VolumeTypeWrong(),
    StaticPod(),
    StaticPodFlag(),
    StaticPodImage(),
    StaticPodProgram(),
    StaticPodMoved(),
    ClientCertificateLinkBroken(),
    ClientCertificateOfAnother(),
    ClientKeyOfAnother(),
    ContainerdConfigBroken(),
    ContainerdSocketMoved(),
    CRIPluginDisabled(),
    ExtraArgumentSplit(),
    HostnameOverridden(),
    KubeconfigPlainHTTP(),
    KubeconfigWrongUser(),
    AuthorizationModeWrong(),
    ConfigMoved(),
    ConfigWrongType(),
    CPUPolicyStatic(),
    FeatureGateGone(),
    KubeletFrozen(),
    KubeletNotExecutable(),
    KubeletOtherConfig(),
    KubeletStandalone(),
    KubeletStartLimit(),
    KubeletUnprivileged(),
    UnitNotReloaded(),
    APIServerFiltered(),
    KubeletPortTaken(),
    EndpointPutBack(),
    FlagsPutBack(),
)
