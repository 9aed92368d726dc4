"""The kubelet's configuration after flags, files and defaults: the wire form of KubeletConfiguration v1beta1."""

from typing import Any

from cka_kubelet.kube.gofmt import parse_duration


def at(fields: Any, path: str) -> Any:
    """The value at a dotted path such as `authentication.x509.clientCAFile`, None when unset."""
    for key in path.split("."):
        if not isinstance(fields, dict):
            return None
        fields = fields.get(key)
    return fields


class KubeletConfiguration(dict[str, Any]):
    """Fields under their JSON names (`config["maxPods"]`), all defaults filled in, durations as Go text (`"1m0s"`)."""

    def duration(self, path: str) -> float:
        """Seconds in the duration at a dotted path, 0.0 when unset."""
        return parse_duration(str(self.at(path) or "0s"))

    def at(self, path: str) -> Any:
        """The value at a dotted path such as `authentication.x509.clientCAFile`, None when unset."""
        return at(self, path)

    def configz(self) -> dict[str, Any]:
        """What /configz shows."""
        body = {"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", **self}
        return {"kubeletconfig": {key: value for key, value in body.items() if value is not None}}
