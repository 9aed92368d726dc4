"""The scheduler's VolumeBinding plugin: claims that wait for their first consumer get a volume near its node."""

from typing import Any

from cka_kubelet.controlplane.client import MERGE, Client
from cka_kubelet.controlplane.controllers import volumematching as matching
from cka_kubelet.controlplane.controllers.informer import Informer, key_of
from cka_kubelet.controlplane.controllers.persistentvolumes import reference_to

Object = dict[str, Any]

_SELECTED = "volume.kubernetes.io/selected-node"


class VolumeBinder:
    """Reserves volumes; binding itself is the persistent volume controller's work."""

    def __init__(self, client: Client, claims: Informer, volumes: Informer, classes: Informer) -> None:
        self._client = client
        self._claims = claims
        self._volumes = volumes
        self._classes = classes

    def view(self) -> matching.View:
        """The state that one pod is judged by."""
        return matching.View(self._claims.items, list(self._volumes.items.values()), list(self._classes.items.values()))

    async def bind(self, pod: Object, node: Object) -> bool:
        """Reserve what the pod's claims get on `node`. False while one of them is not bound yet: ask again then."""
        view = self.view()
        waiting = [claim for claim in view.of_pod(pod) if not matching.is_bound(claim)]
        for claim in waiting:
            volume = view.choice(claim, node)
            if volume is None:
                await self._select_node(claim, node)
            elif not volume["spec"].get("claimRef"):
                change = {
                    "metadata": {"annotations": {"pv.kubernetes.io/bound-by-controller": "yes"}},
                    "spec": {"claimRef": reference_to(claim)},
                }
                await self._client.patch(f"/api/v1/persistentvolumes/{volume['metadata']['name']}", change, MERGE)
        return not waiting

    async def _select_node(self, claim: Object, node: Object) -> None:
        name = node["metadata"]["name"]
        if (claim["metadata"].get("annotations") or {}).get(_SELECTED) == name:
            return
        namespace, claim_name = key_of(claim)
        path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim_name}"
        await self._client.patch(path, {"metadata": {"annotations": {_SELECTED: name}}}, MERGE)
