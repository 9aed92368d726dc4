"""What a pod is called inside, and how the end of its log reads."""

from pathlib import Path

import pytest

from cka_kubelet.kubelet.pods import configs
from cka_kubelet.kubelet.pods.runtime_reader import log_end
from tests.unit.kubelet_pods.test_actions import pod


def names(**spec: object) -> tuple[str, str]:
    """(host name, FQDN or "") of a pod with these fields."""
    one = pod()
    one["spec"].update(spec)
    hostname, domain = configs.pod_hostname(one, "node01"), configs.pod_domain(one, "cluster.local")
    return configs.kernel_hostname(one, hostname, domain), domain


def test_the_kernel_gets_the_fqdn_only_when_asked() -> None:
    assert names(hostname="h", subdomain="s") == ("h", "s.t.svc.cluster.local")
    assert names(hostname="h", subdomain="s", setHostnameAsFQDN=True)[0] == "h.s.t.svc.cluster.local"
    assert names(hostname="h", setHostnameAsFQDN=True) == ("h", "")
    assert names(hostnameOverride="a.b.c", subdomain="s", setHostnameAsFQDN=True) == ("a.b.c", "")
    assert names(hostNetwork=True, hostname="h")[0] == "node01"


def test_an_fqdn_the_kernel_cannot_take_is_refused() -> None:
    with pytest.raises(
        configs.HostnameError, match=r"is too long \(64 characters is the max, 80 characters requested\)"
    ):
        names(hostname="h" * 58, subdomain="s", setHostnameAsFQDN=True)


def test_a_partial_line_ends_without_a_newline(tmp_path: Path) -> None:
    log = tmp_path / "0.log"
    log.write_text("2026-11-21T05:00:00Z stdout F one\n2026-11-21T05:00:01Z stderr P DONE\n")
    assert log_end(log) == "one\nDONE"
