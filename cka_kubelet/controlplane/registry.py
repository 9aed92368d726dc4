"""Create, read, update, delete: the rules every kind shares (`k8s.io/apiserver/pkg/registry/generic`)."""

import copy
import re
import secrets
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeVar

from cka_kubelet.controlplane import admission, strategies
from cka_kubelet.controlplane.fields import field_getter
from cka_kubelet.controlplane.kinds import Kind
from cka_kubelet.controlplane.kinds import kind as kind_of
from cka_kubelet.controlplane.store import ConflictError, Store
from cka_kubelet.kube import apistatus, labels
from cka_kubelet.kube.apistatus import Cause
from cka_kubelet.kube.times import timestamp

Object = dict[str, Any]
Change = Callable[[Object], Object]
Result = TypeVar("Result")

_ATTEMPTS = 100

_NAME = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
_NAME_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_SERVER_OWNED = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


class User(NamedTuple):
    """Who asks."""

    name: str
    groups: tuple[str, ...]
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Registry:
    """The objects behind the API. Every method raises StatusError; what it returns must not be changed."""

    def __init__(self, store: Store, admit: "admission.Admission", now: Callable[[], float] = time.time) -> None:
        self.store = store
        self.now = now
        self._admission = admit

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """The object as stored."""
        found = self.store.get(kind.storage, namespace, name)
        if found is None:
            raise apistatus.not_found(kind.plural, name, kind.group)
        return found

    def list(
        self, kind: Kind, namespace: str, label: labels.Selector, field: tuple[labels.FieldRequirement, ...]
    ) -> list[Object]:
        """Objects that the selectors match, sorted by namespace and name."""
        items = self.store.list(kind.storage, namespace)
        if label:
            items = [item for item in items if labels.matches(label, item["metadata"].get("labels"))]
        if field:
            items = [item for item in items if labels.matches_fields(field, field_getter(item))]
        return items

    async def _settle(self, kind: Kind, name: str, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """Do `attempt` on what is in memory. When that fails, see what is really stored and if it differs try again.

        So a write costs one round trip and is still decided by what is stored, as upstream's GuaranteedUpdate does it.
        """
        for _ in range(_ATTEMPTS):
            seen = self.store.revision
            try:
                return await attempt()
            except ConflictError:
                continue  # the store has seen what was there instead
            except apistatus.StatusError as error:
                if error.code >= 500:  # the storage's own trouble
                    raise
                await self.store.current()
                if self.store.revision == seen:
                    raise
        raise apistatus.conflict(kind.plural, name, "", kind.group)

    async def create(self, kind: Kind, namespace: str, obj: Object, user: User, *, dry_run: bool = False) -> Object:
        """Store a new object: names it, defaults it, admits it, checks it."""
        return await self._settle(kind, "", lambda: self._create(kind, namespace, obj, user, dry_run))

    async def _create(self, kind: Kind, namespace: str, obj: Object, user: User, dry_run: bool) -> Object:
        obj = copy.deepcopy(obj)
        metadata = obj.setdefault("metadata", {}) or {}
        obj["metadata"] = metadata
        self._name(kind, metadata, namespace)
        obj["kind"], obj["apiVersion"] = kind.kind, kind.api_version
        for key in ("managedFields", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"):
            metadata.pop(key, None)
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = timestamp(self.now())
        if kind.generation:
            metadata["generation"] = 1
        # The namespace is looked at first: upstream's NamespaceLifecycle comes before everything else.
        self._admission.namespace(kind, metadata)
        if self.store.get(kind.storage, metadata.get("namespace", ""), metadata["name"]) is not None:
            raise apistatus.already_exists(kind.plural, metadata["name"], kind.group)
        strategies.default(kind, obj)
        self._admission.create(kind, obj, user)
        strategies.prepare_create(kind, obj)
        self._check(kind, obj, None)
        return obj if dry_run else await self.store.write(kind.storage, obj, None)

    def _name(self, kind: Kind, metadata: Object, namespace: str) -> None:
        if kind.namespaced:
            given = metadata.get("namespace") or namespace
            if given != namespace:
                text = "the namespace of the provided object does not match the namespace sent on the request"
                raise apistatus.bad_request(text)
            metadata["namespace"] = namespace
        else:
            metadata.pop("namespace", None)
        if not metadata.get("name"):
            prefix = metadata.get("generateName")
            if not prefix:
                cause = Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")
                raise apistatus.invalid(kind.kind, "", [cause], kind.group)
            metadata["name"] = prefix + "".join(secrets.choice(_ALPHABET) for _ in range(5))
        name = metadata["name"]
        if kind.group != "rbac.authorization.k8s.io" and not _NAME.match(name):
            cause = Cause("FieldValueInvalid", f'Invalid value: "{name}": {_NAME_TEXT}', "metadata.name")
            raise apistatus.invalid(kind.kind, name, [cause], kind.group)

    def _check(self, kind: Kind, obj: Object, old: Object | None) -> None:
        causes = strategies.validate(kind, obj, old)
        if causes:
            raise apistatus.invalid(kind.kind, obj["metadata"]["name"], causes, kind.group)

    async def update(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Change,
        user: User,
        *,
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Replace an object by `change(old)`, which may return `old` with differences or a whole new one.

        `change` is called again when somebody else has changed the object meanwhile.
        """
        return await self._settle(
            kind, name, lambda: self._update(kind, namespace, name, change, user, subresource, dry_run)
        )

    async def _update(
        self, kind: Kind, namespace: str, name: str, change: Change, user: User, subresource: str, dry_run: bool
    ) -> Object:
        old = self.get(kind, namespace, name)
        obj = copy.deepcopy(change(old))
        metadata = obj.setdefault("metadata", {})
        self._preconditions(kind, name, metadata, old["metadata"])
        obj["kind"], obj["apiVersion"] = old["kind"], old["apiVersion"]
        metadata["name"] = name
        for key in ("namespace", *_SERVER_OWNED):
            if key in old["metadata"]:
                metadata[key] = old["metadata"][key]
            else:
                metadata.pop(key, None)
        metadata.pop("managedFields", None)
        metadata["resourceVersion"] = old["metadata"]["resourceVersion"]
        strategies.keep_server_fields(kind, obj, old, subresource)
        if not subresource:
            strategies.default(kind, obj)
            self._check(kind, obj, old)
        self._admission.update(kind, obj, old, user, subresource)
        if kind.generation and obj.get("spec") != old.get("spec"):
            metadata["generation"] = int(old["metadata"].get("generation", 1)) + 1
        if obj == old or dry_run:  # nothing will be written that would find out whether `old` is old
            await self.store.current()
            if self.store.get(kind.storage, namespace, name) is not old:
                raise ConflictError
            return obj
        if self._finished(kind, obj):
            return await self.store.remove(kind.storage, old)
        return await self.store.write(kind.storage, obj, old)

    async def modify(self, kind: Kind, namespace: str, name: str, change: Change) -> Object:
        """Store `change(old)` as it is, checked by nobody. `change` gets a copy and may be called again."""

        async def attempt() -> Object:
            old = self.get(kind, namespace, name)
            return await self.store.write(kind.storage, change(copy.deepcopy(old)), old)

        return await self._settle(kind, name, attempt)

    def _preconditions(self, kind: Kind, name: str, new: Object, old: Object) -> None:
        uid, revision = new.get("uid"), new.get("resourceVersion")
        if uid and uid != old["uid"]:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['uid']}"
            raise apistatus.conflict(kind.plural, name, why, kind.group)
        if revision and str(revision) != old["resourceVersion"]:
            raise apistatus.conflict(kind.plural, name, "", kind.group)

    def _finished(self, kind: Kind, obj: Object) -> bool:
        metadata = obj["metadata"]
        if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
            return False
        if kind.resource == "namespaces":
            return not (obj.get("spec") or {}).get("finalizers")
        return bool(metadata.get("deletionGracePeriodSeconds") == 0)

    async def delete(
        self, kind: Kind, namespace: str, name: str, options: Object, *, dry_run: bool = False
    ) -> tuple[Object, bool]:
        """Delete, gracefully where the kind knows how. Gives the object and whether it is gone already."""
        return await self._settle(kind, name, lambda: self._delete(kind, namespace, name, options, dry_run))

    async def _delete(
        self, kind: Kind, namespace: str, name: str, options: Object, dry_run: bool
    ) -> tuple[Object, bool]:
        old = self.get(kind, namespace, name)
        metadata = old["metadata"]
        self._preconditions(kind, name, options.get("preconditions") or {}, metadata)
        if options.get("propagationPolicy") == "Orphan":
            await self._orphan(metadata["uid"])
        grace = self._grace(kind, old, options)
        waits = grace > 0 or bool(metadata.get("finalizers")) or kind.resource == "namespaces"
        if dry_run:
            return old, not waits
        if not waits:
            return await self.store.remove(kind.storage, old), True
        previous = metadata.get("deletionGracePeriodSeconds")
        if metadata.get("deletionTimestamp") and (previous is None or grace >= previous):
            return old, False
        obj = copy.deepcopy(old)
        obj["metadata"]["deletionTimestamp"] = timestamp(self.now() + grace)
        obj["metadata"]["deletionGracePeriodSeconds"] = grace
        if kind.generation and metadata.get("generation"):
            obj["metadata"]["generation"] = metadata["generation"] + 1
        if kind.resource == "namespaces":
            obj["metadata"].pop("deletionGracePeriodSeconds")
            obj["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
        return await self.store.write(kind.storage, obj, old), False

    def admit_delete(self, kind: Kind, name: str) -> None:
        """Raise StatusError when this object may not be deleted at all."""
        self._admission.delete(kind, name)

    def _grace(self, kind: Kind, obj: Object, options: Object) -> int:
        if kind.resource != "pods":
            return 0
        spec, phase = obj.get("spec") or {}, (obj.get("status") or {}).get("phase")
        if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
            return 0
        asked = options.get("gracePeriodSeconds")
        return int(asked if asked is not None else spec.get("terminationGracePeriodSeconds", 30))

    async def _orphan(self, owner: str) -> None:
        def orphaned(obj: Object) -> Object:
            references = obj["metadata"].get("ownerReferences") or ()
            obj["metadata"]["ownerReferences"] = [each for each in references if each.get("uid") != owner]
            return obj

        for resource in ("replicasets.apps", "pods", "controllerrevisions.apps", "jobs.batch"):
            for item in self.store.list(resource):
                owners = item["metadata"].get("ownerReferences") or ()
                if any(reference.get("uid") == owner for reference in owners):
                    metadata = item["metadata"]
                    await self.modify(kind_of(resource), metadata["namespace"], metadata["name"], orphaned)
