"""The control plane's manifests say what kubeadm's say."""

import pytest
import yaml

from cka_kubelet.kube import staticpods
from cka_kubelet.kube.staticpods import COMPONENTS, Cluster, Component

CLUSTER = Cluster("controlplane", "172.30.1.2")
SCHEDULER = """\
apiVersion: v1
kind: Pod
metadata:
  labels:
    component: kube-scheduler
    tier: control-plane
  name: kube-scheduler
  namespace: kube-system
spec:
  containers:
  - command:
    - kube-scheduler
    - --authentication-kubeconfig=/etc/kubernetes/scheduler.conf
    - --authorization-kubeconfig=/etc/kubernetes/scheduler.conf
    - --bind-address=127.0.0.1
    - --kubeconfig=/etc/kubernetes/scheduler.conf
    - --leader-elect=true
    image: registry.k8s.io/kube-scheduler:v1.36.2
    imagePullPolicy: IfNotPresent
    livenessProbe:
      failureThreshold: 8
      httpGet:
        host: 127.0.0.1
        path: /livez
        port: probe-port
        scheme: HTTPS
      initialDelaySeconds: 10
      periodSeconds: 10
      timeoutSeconds: 15
    name: kube-scheduler
    ports:
    - containerPort: 10259
      name: probe-port
      protocol: TCP
    readinessProbe:
      failureThreshold: 3
      httpGet:
        host: 127.0.0.1
        path: /readyz
        port: probe-port
        scheme: HTTPS
      periodSeconds: 1
      timeoutSeconds: 15
    resources:
      requests:
        cpu: 100m
    startupProbe:
      failureThreshold: 24
      httpGet:
        host: 127.0.0.1
        path: /livez
        port: probe-port
        scheme: HTTPS
      initialDelaySeconds: 10
      periodSeconds: 10
      timeoutSeconds: 15
    volumeMounts:
    - mountPath: /etc/kubernetes/scheduler.conf
      name: kubeconfig
      readOnly: true
  hostNetwork: true
  priority: 2000001000
  priorityClassName: system-node-critical
  securityContext:
    seccompProfile:
      type: RuntimeDefault
  volumes:
  - hostPath:
      path: /etc/kubernetes/scheduler.conf
      type: FileOrCreate
    name: kubeconfig
status: {}
"""


def test_the_scheduler_is_kubeadms_to_the_byte() -> None:
    assert staticpods.manifest("kube-scheduler", CLUSTER) == SCHEDULER


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_mount_has_its_volume(component: Component) -> None:
    spec = yaml.safe_load(staticpods.manifest(component, CLUSTER))["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    assert mounts == {volume["name"]: volume["hostPath"]["path"] for volume in spec["volumes"]}
    assert [volume["name"] for volume in spec["volumes"]] == sorted(mounts)


@pytest.mark.parametrize("component", COMPONENTS)
def test_the_command_is_the_component_with_sorted_flags(component: Component) -> None:
    [container] = yaml.safe_load(staticpods.manifest(component, CLUSTER))["spec"]["containers"]
    name, *flags = container["command"]
    assert name == component
    assert flags == sorted(flags)


def test_the_controller_manager_knows_health_alone() -> None:
    [container] = yaml.safe_load(staticpods.manifest("kube-controller-manager", CLUSTER))["spec"]["containers"]
    assert "readinessProbe" not in container
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["startupProbe"]["httpGet"]["path"] == "/healthz"


def test_addresses_are_the_clusters() -> None:
    etcd = staticpods.manifest("etcd", CLUSTER)
    assert "kubeadm.kubernetes.io/etcd.advertise-client-urls: https://172.30.1.2:2379" in etcd
    assert "- --initial-cluster=controlplane=https://172.30.1.2:2380" in etcd
    assert "- --listen-client-urls=https://127.0.0.1:2379,https://172.30.1.2:2379" in etcd
    server = staticpods.manifest("kube-apiserver", Cluster("n", "10.0.0.1", port=7443))
    assert "kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: 10.0.0.1:7443" in server
    assert "- --secure-port=7443" in server
    assert "host: 10.0.0.1" in server
