"""An API server that is a table of objects."""

from typing import Any

from cka_kubelet.errors import NodeUnreachableError
from cka_kubelet.remote.kubeapi import Answer


def objects_of_a_cluster() -> dict[str, dict[str, Any]]:
    """A node and a Deployment that uses whatever a fault may change."""
    container = {
        "name": "web",
        "image": "docker.io/library/busybox:1.36",
        "command": ["httpd", "-f"],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "livenessProbe": {"httpGet": {"path": "/", "port": 8080}},
        "env": [{"name": "GREETING", "valueFrom": {"configMapKeyRef": {"name": "web", "key": "greeting"}}}],
    }
    volumes = [{"name": "data", "hostPath": {"path": "/srv", "type": "Directory"}}]
    pods = {"spec": {"containers": [container], "volumes": volumes}}
    return {
        "/api/v1/nodes/node01": {
            "metadata": {"name": "node01", "resourceVersion": "1"},
            "spec": {"podCIDR": "10.244.1.0/24"},
            "status": {"capacity": {"cpu": "2"}},
        },
        "/apis/apps/v1/namespaces/default/deployments/web": {
            "metadata": {"name": "web", "resourceVersion": "1"},
            "spec": {"replicas": 1, "template": pods},
        },
    }


class FakeObjects:
    """`KubeAPI`. `objects`: path → object; `down` makes it unreachable for that many requests."""

    def __init__(self, objects: dict[str, dict[str, Any]]) -> None:
        self.objects = objects
        self.down = 0
        self._version = 0

    def request(self, method: str, path: str, body: Any = None) -> Answer:
        if self.down:
            self.down -= 1
            raise NodeUnreachableError("controlplane: connection refused")
        status, answer = self._answer(method, path, body)
        return Answer(status, 100.0, answer)

    def close(self) -> None:
        pass

    def _answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/readyz":
            return 200, "ok"
        if method == "POST":
            path = f"{path}/{body['metadata']['name']}"
            if path in self.objects:
                return 409, {"message": "already exists"}
            return 201, self._keep(path, body)
        if path not in self.objects:
            return 404, {"message": "not found"}
        if method == "PUT":
            if body["metadata"].get("resourceVersion") != self.objects[path]["metadata"]["resourceVersion"]:
                return 409, {"message": "the object has been modified"}
            return 200, self._keep(path, body)
        if method == "DELETE":
            return 200, self.objects.pop(path)
        return 200, self.objects[path]

    def _keep(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        self.objects[path] = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self._version)}}
        return self.objects[path]
