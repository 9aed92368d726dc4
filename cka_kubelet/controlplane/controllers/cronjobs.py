"""CronJobs: a Job each time the schedule says so (pkg/controller/cronjob)."""

import datetime
import time
from collections.abc import Callable
from typing import Any

from cka_kubelet.controlplane.client import Client
from cka_kubelet.controlplane.controllers import cronschedule, workloads
from cka_kubelet.controlplane.controllers.informer import APIError, Informer, each, key_of, namespace_ends
from cka_kubelet.controlplane.controllers.nodehealth import seconds
from cka_kubelet.controlplane.controllers.recorder import Recorder
from cka_kubelet.kube.times import timestamp

Object = dict[str, Any]

_SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
_TOO_MANY = 100


class CronJobs:
    """Starts jobs, remembers those that run, removes old ones."""

    def __init__(
        self, client: Client, cron_jobs: Informer, jobs: Informer, now: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._cron_jobs = cron_jobs
        self._jobs = jobs
        self._now = now
        self._recorder = Recorder(client, "cronjob-controller", now)
        self._next: float | None = None

    async def sync(self) -> float | None:
        """Every one once; the seconds until the next job is due."""
        self._next = None
        await each(self._cron_jobs.items.values(), self._one)
        return None if self._next is None else max(self._next - self._now(), 0.1)

    async def _one(self, owner: Object) -> None:
        jobs = [job for job in self._jobs.items.values() if workloads.controlled_by(job, owner)]
        status = dict(owner.get("status") or {})
        await self._look_at(owner, jobs, status)
        try:
            if not owner["spec"].get("suspend"):
                await self._start(owner, jobs, status)
        finally:
            await self._write(owner, status)
        await self._clean(owner, jobs)

    async def _look_at(self, owner: Object, jobs: list[Object], status: Object) -> None:
        """Bring the list of running jobs up to date."""
        known = {item.get("uid") for item in status.get("active") or ()}
        for job in jobs:
            end = _ended(job)
            if end and job["metadata"]["uid"] in known:
                text = f"Saw completed job: {job['metadata']['name']}, condition: {end}"
                await self._event(owner, "SawCompletedJob", text)
                done = (job.get("status") or {}).get("completionTime")
                if end == "Complete" and done and done > str(status.get("lastSuccessfulTime") or ""):
                    status["lastSuccessfulTime"] = done
        running = {job["metadata"]["uid"] for job in jobs if not _ended(job)}
        status["active"] = [item for item in status.get("active") or () if item.get("uid") in running]

    async def _start(self, owner: Object, jobs: list[Object], status: Object) -> None:
        due = await self._due(owner, status)
        if due is None:
            return
        policy = owner["spec"].get("concurrencyPolicy", "Allow")
        running = [job for job in jobs if not _ended(job)]
        if policy == "Forbid" and running:
            text = "Not starting job because prior execution is running and concurrency policy is Forbid"
            await self._event(owner, "JobAlreadyActive", text)
            return
        if policy == "Replace":
            for job in running:
                await self._delete(owner, job)
        await self._create(owner, due, status)

    async def _due(self, owner: Object, status: Object) -> float | None:
        """The time of the newest job that should have been started and was not; also notes the next one."""
        spec, now = owner["spec"], self._now()
        try:
            schedule = cronschedule.parse(str(spec.get("schedule", "")))
            zone = _zone(str(spec.get("timeZone") or ""))
        except cronschedule.ScheduleError as error:
            text = f'unparseable schedule: "{spec.get("schedule", "")}" : {error}'
            await self._event(owner, "UnparseableSchedule", text, warning=True)
            return None
        except (KeyError, OSError):
            text = f"invalid timeZone: unknown time zone {spec['timeZone']}"
            await self._event(owner, "UnknownTimeZone", text, warning=True)
            return None
        since = seconds(status.get("lastScheduleTime") or owner["metadata"]["creationTimestamp"])
        limit = spec.get("startingDeadlineSeconds")
        if limit is not None:
            since = max(since, now - int(limit))
        found, moment = None, schedule.after(datetime.datetime.fromtimestamp(since, zone))
        for _ in range(_TOO_MANY):
            if moment is None or moment.timestamp() > now:
                break
            found, moment = moment.timestamp(), schedule.after(moment)
        if moment is not None and moment.timestamp() <= now:  # far behind: start from here
            found, moment = now - now % 60, schedule.after(datetime.datetime.fromtimestamp(now, zone))
        if moment is not None:
            upcoming = moment.timestamp()
            self._next = upcoming if self._next is None else min(self._next, upcoming)
        return found

    async def _create(self, owner: Object, due: float, status: Object) -> None:
        namespace, _ = key_of(owner)
        job = job_of(owner, due)
        try:
            made = await self._client.create(f"/apis/batch/v1/namespaces/{namespace}/jobs", job)
        except APIError as error:
            if namespace_ends(error) or getattr(error, "code", 0) == 409:
                status["lastScheduleTime"] = timestamp(due)
                return
            await self._event(owner, "FailedCreate", f"Error creating job: {error}", warning=True)
            raise
        metadata = made["metadata"]
        await self._event(owner, "SuccessfulCreate", f"Created job {metadata['name']}")
        reference = {"kind": "Job", "namespace": namespace, "name": metadata["name"], "uid": metadata["uid"]}
        reference |= {"apiVersion": "batch/v1", "resourceVersion": metadata["resourceVersion"]}
        status["active"] = [*status["active"], reference]
        status["lastScheduleTime"] = timestamp(due)

    async def _clean(self, owner: Object, jobs: list[Object]) -> None:
        limits = {"Complete": "successfulJobsHistoryLimit", "Failed": "failedJobsHistoryLimit"}
        for end, key in limits.items():
            keep = int(owner["spec"].get(key, 3 if end == "Complete" else 1))
            ended = sorted((job for job in jobs if _ended(job) == end), key=_started)
            for job in ended[: max(len(ended) - keep, 0)]:
                await self._delete(owner, job)

    async def _delete(self, owner: Object, job: Object) -> None:
        namespace, name = key_of(job)
        try:
            options = {"propagationPolicy": "Background", "preconditions": {"uid": job["metadata"]["uid"]}}
            await self._client.delete(f"/apis/batch/v1/namespaces/{namespace}/jobs/{name}", options)
        except APIError as error:
            if getattr(error, "code", 0) in (404, 409):
                return
            raise
        await self._event(owner, "SuccessfulDelete", f"Deleted job {name}")

    async def _write(self, owner: Object, status: Object) -> None:
        if not status.get("active"):
            status.pop("active", None)
        if status != (owner.get("status") or {}):
            namespace, name = key_of(owner)
            path = f"/apis/batch/v1/namespaces/{namespace}/cronjobs/{name}/status"
            await self._client.update(path, {**owner, "status": status})

    async def _event(self, owner: Object, reason: str, text: str, *, warning: bool = False) -> None:
        await self._recorder.event(owner, "CronJob", reason, text, warning=warning)


def _zone(name: str) -> datetime.tzinfo:
    """Raises KeyError or OSError for a time zone that is none."""
    if not name:
        return datetime.UTC
    import zoneinfo  # few schedules have one

    try:
        return zoneinfo.ZoneInfo(name)
    except ValueError as error:
        raise KeyError(name) from error


def _ended(job: Object) -> str:
    """Complete, Failed, or "" while the job goes on."""
    conditions = (job.get("status") or {}).get("conditions") or ()
    ends = (item["type"] for item in conditions if item.get("status") == "True")
    return next((end for end in ends if end in ("Complete", "Failed")), "")


def _started(job: Object) -> str:
    return str((job.get("status") or {}).get("startTime") or job["metadata"].get("creationTimestamp", ""))


def job_of(owner: Object, due: float) -> Object:
    """The job of one time, in seconds since the epoch: its name has the minutes."""
    template = owner["spec"]["jobTemplate"]
    metadata = template.get("metadata") or {}
    annotations = {**(metadata.get("annotations") or {}), _SCHEDULED: timestamp(due)}
    made = {
        "name": f"{owner['metadata']['name']}-{int(due) // 60}",
        "namespace": owner["metadata"]["namespace"],
        "labels": metadata.get("labels") or {},
        "annotations": annotations,
        "ownerReferences": [workloads.owner_reference(owner)],
    }
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": made, "spec": template.get("spec") or {}}
