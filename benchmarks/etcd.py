"""The control plane of static pods over a real etcd: resident memory, lists and writes with 1,000 pods stored."""

import json
from typing import Any

from cka_kubelet.providers.container import ContainerProvider

_PODS = 1000
_PROGRAMS = ("kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler")
_MEASURE = """
import http.client, json, re, ssl, statistics, subprocess, time
from base64 import b64decode

text = open("/etc/kubernetes/admin.conf").read()

def part(name):
    path = "/tmp/bench-" + name
    open(path, "wb").write(b64decode(re.search(name + ": (.+)", text)[1]))
    return path

context = ssl.create_default_context(cafile=part("certificate-authority-data"))
context.load_cert_chain(part("client-certificate-data"), part("client-key-data"))
host, port = re.search("server: https://(.+):([0-9]+)", text).groups()
api = http.client.HTTPSConnection(host, int(port), context=context)

def call(method, path, body=None, kind="application/json"):
    start = time.perf_counter()
    api.request(method, path, json.dumps(body) if body else None, {"content-type": kind})
    answer = api.getresponse()
    data = answer.read()
    return answer.status, time.perf_counter() - start, data

def middle(count, once):
    return statistics.median(once(number)[1] for number in range(count))

def rss(program):
    pid = subprocess.run(["pgrep", "-o", "-f", "^(/usr/bin/python3 -sOO /usr/local/bin/)?" + program + " "],
                         capture_output=True, text=True, check=True).stdout.strip()
    status = open("/proc/" + pid + "/status").read()
    return int(re.search("VmRSS:\\\\s+([0-9]+)", status)[1]) / 1024

def resident():
    return {program: rss(program) for program in PROGRAMS}

before = resident()
call("POST", "/api/v1/namespaces", {"metadata": {"name": "bench"}})
while call("GET", "/api/v1/namespaces/bench/serviceaccounts/default")[0] != 200:
    time.sleep(0.2)
pods = "/api/v1/namespaces/bench/pods"
spec = {"schedulerName": "none", "containers": [{"name": "c", "image": "busybox"}]}
for number in range(PODS):
    assert call("POST", pods, {"metadata": {"name": "p" + str(number)}, "spec": spec})[0] == 201
time.sleep(10)
merge = "application/merge-patch+json"
maps = "/api/v1/namespaces/bench/configmaps"
print(json.dumps({
    "idle": before,
    "loaded": resident(),
    "list": middle(10, lambda number: call("GET", pods)),
    "get": middle(200, lambda number: call("GET", pods + "/p" + str(number))),
    "create": middle(200, lambda number: call("POST", maps, {"metadata": {"name": "m" + str(number)}})),
    "patch": middle(200, lambda number: call("PATCH", maps + "/m" + str(number), {"data": {"a": "b"}}, merge)),
}))
"""


def measure_etcd() -> dict[str, float]:
    """`static_*_mb` by program, idle and with 1,000 pods; medians of requests then, `list_ms` of all the pods."""
    cluster = ContainerProvider(control_plane="static-pods").acquire(lambda phase, detail: None)
    try:
        program = f"PROGRAMS, PODS = {_PROGRAMS!r}, {_PODS}\n{_MEASURE}"
        control = cluster.shell("controlplane")
        found: dict[str, Any] = json.loads(control.run(["python3", "-"], input=program.encode(), timeout=600).text)
    finally:
        cluster.destroy()
    figures = {f"{what}_ms": found[what] * 1000 for what in ("list", "get", "create", "patch")}
    for state in ("idle", "loaded"):
        figures |= {f"static_{name.replace('-', '_')}_{state}_mb": found[state][name] for name in _PROGRAMS}
        figures[f"static_all_{state}_mb"] = sum(found[state].values())
    return figures
