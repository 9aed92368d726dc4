"""Root on every node, and still no point for what was not repaired."""

from pathlib import Path

from cka_kubelet.clock import SystemClock
from cka_kubelet.engine.run import LabRun
from cka_kubelet.faults.journal import Journal
from cka_kubelet.labspec import catalogue
from cka_kubelet.providers.container import ContainerCluster
from cka_kubelet.scoring.result import Verdict
from cka_kubelet.sessions.store import Store

_READY = '{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady"}]}}'
_RENEW = '{"spec":{"renewTime":"\'$(date -u +%Y-%m-%dT%H:%M:%S.000000Z)\'"}}'
_LIE = "#!/bin/sh\nexit 0\n"

ON_CONTROLPLANE = f"""
kubectl -n kube-node-lease patch lease node01 --type=merge -p '{_RENEW}'
kubectl patch node node01 --subresource=status -p '{_READY}'
kubectl taint node node01 node.kubernetes.io/unreachable- || true
for name in kubectl date; do
    mv /usr/bin/$name /usr/bin/$name.real
    printf '{_LIE.encode("unicode_escape").decode()}' >/usr/bin/$name
    chmod +x /usr/bin/$name
done
for file in /etc/kubernetes/admin.conf /root/.kube/config; do echo nonsense >$file; done
"""
"""Says Ready in the kubelet's place, renews its lease, and replaces what a grader might run or read."""

ON_NODE01 = f"""
for name in kubelet crictl cat sha256sum stat journalctl; do
    mv /usr/bin/$name /usr/bin/$name.real
    printf '{_LIE.encode("unicode_escape").decode()}' >/usr/bin/$name
    /usr/bin/chmod +x /usr/bin/$name
done
mv /usr/bin/systemctl /usr/bin/systemctl.real
printf '#!/bin/sh\\necho LoadState=loaded\\necho UnitFileState=enabled\\necho ActiveState=active\\n' >/usr/bin/systemctl
chmod +x /usr/bin/systemctl
"""
"""A systemctl that says active and enabled, whatever it is asked."""


def test_lies_of_root_give_no_point_for_repair(cluster: ContainerCluster, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    store = Store(tmp_path / "history.db")
    run = LabRun(catalogue.find("notready-1"), cluster, journal=journal, store=store, clock=SystemClock())
    run.prepare(lambda phase, detail: None)
    cluster.shell("controlplane").script(ON_CONTROLPLANE)
    cluster.shell("node01").script(ON_NODE01)
    score = run.submit({}, patience=3)
    run.close()
    store.close()
    found = [(line.name, line.verdict.value, line.found) for line in score.lines]
    assert score.verdict is Verdict.FAIL, found
    assert score.points_of("repair") == 0, found
    assert score.points_of("lasting") == 0, found
    assert "does not answer on port 10250" in score.category("repair")[0].found
