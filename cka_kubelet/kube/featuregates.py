"""Feature gates that the 1.36 programs know, and which of them can no longer be switched off."""

from collections.abc import Iterable

from cka_kubelet.kube.flagvalues import parse_bool

_OPEN = """
AllAlpha AllBeta APIResponseCompression APIServerIdentity APIServingWithRoutine AllowUnsafeMalformedObjectDeletion
AllowParsingUserUIDFromCertAuth AnonymousAuthConfigurableEndpoints ClearingNominatedNodeNameAfterBinding
ClusterTrustBundle ClusterTrustBundleProjection ComponentFlagz ComponentStatusz ConcurrentWatchObjectDecode
ConstrainedImpersonation ContainerCheckpoint ContainerRestartRules ContainerStopSignals ContextualLogging
CoordinatedLeaderElection CPUManagerPolicyAlphaOptions CPUManagerPolicyBetaOptions CRDObservedGenerationTracking
CrossNamespaceVolumeDataSource CSIMigrationPortworx CSIServiceAccountTokenSecrets CSIVolumeHealth
CustomCPUCFSQuotaPeriod DeploymentReplicaSetTerminatingReplicas DetectCacheInconsistency
DisableCPUQuotaWithExclusiveCPUs DRAAdminAccess DRAConsumableCapacity DRADeviceBindingConditions
DRADeviceTaintRules DRADeviceTaints DRAExtendedResource DRAListTypeAttributes DRANativeResources
DRANodeAllocatableResources DRAPartitionableDevices DRAPrioritizedList DRAResourceClaimDeviceStatus
DRAResourcePoolStatus DRASchedulerFilterTimeout DRAWorkloadResourceClaims EnvFiles EventedPLEG
ExternalServiceAccountTokenSigner GangScheduling GenericWorkload GracefulNodeShutdown
GracefulNodeShutdownBasedOnPodPriority HPAConfigurableTolerance HPAScaleToZero HostnameOverride ImageMaximumGCAge
ImageVolume ImageVolumeWithDigest InPlacePodLevelResourcesVerticalScaling InPlacePodVerticalScalingAllocatedStatus
InPlacePodVerticalScalingExclusiveCPUs InPlacePodVerticalScalingExclusiveMemory
InPlacePodVerticalScalingInitContainers InOrderInformers JobManagedBy KubeletCgroupDriverFromCRI
KubeletCrashLoopBackOffMax KubeletEnsureSecretPulledImages KubeletFineGrainedAuthz KubeletInUserNamespace
KubeletPSI KubeletPodResourcesDynamicResources KubeletPodResourcesGet KubeletPodResourcesListUseActivePods
KubeletRegistrationGetOnExistsOnly KubeletSeparateDiskGC KubeletServiceAccountTokenForCredentialProviders
KubeletTracing ListFromCacheSnapshot LocalStorageCapacityIsolationFSQuotaMonitoring LogarithmicScaleDown
LoggingAlphaOptions LoggingBetaOptions MatchLabelKeysInPodAffinity MatchLabelKeysInPodTopologySpread
MaxUnavailableStatefulSet MemoryManager MemoryQoS MutableCSINodeAllocatableCount MutablePVNodeAffinity
MutablePodResourcesForSuspendedJobs NodeDeclaredFeatures NominatedNodeNameForExpectation OpenAPIEnums
OpportunisticBatching PersistentVolumeClaimUnusedSinceTime PodAndContainerStatsFromCRI PodCertificateRequest
PodLevelResourceManagers PodLevelResources PodLogsQuerySplitStreams PodObservedGenerationTracking
PodReadyToStartContainersCondition PodTopologyLabelsAdmission PortForwardWebsockets PreferSameTrafficDistribution
ProcMountType QOSReserved ReduceDefaultCrashLoopBackOffDecay RelaxedDNSSearchValidation
RelaxedServiceNameValidation ReloadKubeletServerCertificateFile RemoteRequestHeaderUID ResourceHealthStatus
RestartAllContainersOnContainerExits RotateKubeletServerCertificate RuntimeClassInImageCriApi SELinuxChangePolicy
SELinuxMount SELinuxMountReadWriteOncePod SchedulerAsyncAPICalls SchedulerAsyncPreemption SchedulerPopFromBackoffQ
SeparateCacheWatchRPC SeparateTaintEvictionController ServiceAccountNodeAudienceRestriction SidecarContainers
SizeBasedListCostEstimate StaleControllerConsistency StatefulSetSemanticRevisionComparison StorageCapacityScoring
StorageNamespaceIndex StorageVersionAPI StorageVersionHash StorageVersionMigrator StreamingCollectionEncodingToJSON
StreamingCollectionEncodingToProtobuf StrictCostEnforcementForVAP StrictCostEnforcementForWebhooks
StrictIPCIDRValidation StructuredAuthenticationConfigurationEgressSelector SupplementalGroupsPolicy SystemdWatchdog
TaintTolerationComparisonOperators TokenRequestServiceAccountUIDValidation TopologyManagerPolicyAlphaOptions
TopologyManagerPolicyBetaOptions TranslateStreamCloseWebsocketRequests UnauthenticatedHTTP2DOSMitigation
UnknownVersionInteroperabilityProxy UnlockWhileProcessing UserNamespacesHostNetworkSupport UserNamespacesSupport
VolumeAttributesClass VolumeLimitScaling WatchCacheInitializationPostStartHook WatchList WatchListClient
ClientsAllowCBOR CBORServingAndStorage CloudControllerManagerWebhook DeclarativeValidation
DeclarativeValidationTakeover InTreePluginPortworxUnregister MatchLabelKeysInPodTopologySpreadSelectorMerge
MutatingAdmissionPolicy PodDeletionCost PreventStaticPodAPIReferences UserNamespacesPodSecurityStandards
ClientsPreferCBOR InformerResourceVersion WinDSR WinOverlay WindowsCPUAndMemoryAffinity WindowsGracefulNodeShutdown
WindowsHostNetwork ExtendWebSocketsToKubelet
"""
_LOCKED = """
NodeSwap AppArmor AuthorizeNodeWithSelectors AuthorizeWithSelectors CPUManagerPolicyOptions DevicePluginCDIDevices
DisableNodeKubeProxyVersion DynamicResourceAllocation HonorPVReclaimPolicy InPlacePodVerticalScaling
JobBackoffLimitPerIndex JobPodReplacementPolicy JobSuccessPolicy KubeletPodResourcesGetAllocatable
MultiCIDRServiceAllocator NFTablesProxyMode NodeInclusionPolicyInPodTopologySpread OrderedNamespaceDeletion
PodHostIPs PodIndexLabel PodLifecycleSleepAction PodLifecycleSleepActionAllowZero PodSchedulingReadiness
ProbeHostPodSecurityStandards RecoverVolumeExpansionFailure RecursiveReadOnlyMounts
ResilientWatchCacheInitialization ServiceTrafficDistribution StructuredAuthenticationConfiguration
StructuredAuthorizationConfiguration TopologyAwareHints TopologyManagerPolicyOptions NodeLocalCRISocket
NodeLogQuery RelaxedEnvironmentVariableValidation
"""
_GATES = dict.fromkeys(_OPEN.split(), False) | dict.fromkeys(_LOCKED.split(), True)


class GateError(Exception):
    """A gate is unknown, or locked to the other value."""


def check_gates(gates: dict[str, bool]) -> None:
    """Raise GateError for the first gate, by name, that upstream refuses."""
    for name, value in sorted(gates.items()):
        locked = _GATES.get(name)
        if locked is None:
            raise GateError(f"unrecognized feature gate: {name}")
        if locked and not value:
            raise GateError(f"cannot set feature gate {name} to false, feature is locked to true")


def parse_gates(items: Iterable[str]) -> dict[str, bool]:
    """The gates of `Name=bool` items. Raises GateError with featuregate's text."""
    found = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals:
            raise GateError(f"missing bool value for {name}")
        try:
            found[name.strip()] = parse_bool(value.strip())
        except ValueError as error:
            raise GateError(f"invalid value of {name}={value}, err: {error}") from error
    return found
