"""Jobs: run pods until enough of them have succeeded or too many have failed."""

import time
from collections.abc import Callable
from typing import Any

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers import workloads
from cka_kubelet.controlplane.controllers.informer import Informer, each, key_of
from cka_kubelet.kube.times import timestamp

Object = dict[str, Any]


class Jobs:
    """One pass over all jobs."""

    def __init__(self, client: Client, jobs: Informer, pods: Informer, now: Callable[[], float] = time.time) -> None:
        self._client = client
        self._jobs = jobs
        self._pods = pods
        self._now = now
        self._control = workloads.PodControl(client, "job-controller")

    async def sync(self) -> None:
        """Every unfinished job once."""
        await each(self._jobs.items.values(), self._one)

    async def _one(self, job: Object) -> None:
        conditions = (job.get("status") or {}).get("conditions") or ()
        if any(item["type"] in ("Complete", "Failed") and item["status"] == "True" for item in conditions):
            return
        spec, pods = job["spec"], workloads.owned_pods(self._pods, job)
        phases = [(pod.get("status") or {}).get("phase") for pod in pods]
        succeeded, failed = phases.count("Succeeded"), phases.count("Failed")
        active = [pod for pod in pods if workloads.is_active(pod)]
        wanted = int(spec.get("completions") or 1)
        now = timestamp(self._now())
        status: Object = {"startTime": (job.get("status") or {}).get("startTime") or now}
        if succeeded >= wanted:
            await self._finish(
                job, status, "Complete", "CompletionsReached", "Reached expected number of succeeded pods"
            )
            status["completionTime"] = now
            await self._control.recorder.event(job, "Job", "Completed", "Job completed")
        elif failed > int(spec.get("backoffLimit", 6)):
            for pod in active:
                await self._control.delete(job, pod)
            active = []
            message = "Job has reached the specified backoff limit"
            await self._finish(job, status, "Failed", "BackoffLimitExceeded", message)
            await self._control.recorder.event(job, "Job", "BackoffLimitExceeded", message, warning=True)
        else:
            missing = min(int(spec.get("parallelism", 1)), wanted - succeeded) - len(active)
            for _ in range(missing if not spec.get("suspend") else 0):
                await self._control.create(job)
        counts = {"active": len(active), "succeeded": succeeded, "failed": failed}
        status |= {key: value for key, value in counts.items() if value}
        status["ready"] = sum(1 for pod in active if workloads.is_ready(pod))
        if status != job.get("status"):
            namespace, name = key_of(job)
            path = f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}/status"
            await self._client.update(path, {**job, "status": status})

    async def _finish(self, job: Object, status: Object, kind: str, reason: str, message: str) -> None:
        now = timestamp(self._now())
        stamps = {"lastProbeTime": now, "lastTransitionTime": now}
        status["conditions"] = [{"type": kind, "status": "True", "reason": reason, "message": message, **stamps}]
