"""Every flag of kube-scheduler 1.36. The form of the table: flagtable."""

from cka_kubelet.controlplane.sharedflags import DELEGATED, ELECTION, GATES, LAST, SERVING

TABLE = (
    """
[misc]
config string
master string
write-config-to string
"""
    + SERVING.replace("@PORT@", "10259")
    + DELEGATED.replace("@TOLERATE@", "true")
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
    + ELECTION.replace("@NAME@", "kube-scheduler")
    + "[feature gate]"
    + GATES
    + LAST
)
