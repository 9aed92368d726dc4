"""Requests for resources, as plain objects: the core that HTTP and the in-process client share."""

import copy
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from cka_kubelet.controlplane import decoding, events, fields, patch, strategies, subresources, watching
from cka_kubelet.controlplane.authn import Authenticator
from cka_kubelet.controlplane.authz import Authorizer
from cka_kubelet.controlplane.kinds import Kind
from cka_kubelet.controlplane.registry import Registry, User
from cka_kubelet.controlplane.requestinfo import Query, RequestInfo, first
from cka_kubelet.controlplane.tokens import TokenSigner
from cka_kubelet.kube import apistatus, klog, labels

Object = dict[str, Any]

_MERGE = "application/merge-patch+json"
_JSON_PATCH = "application/json-patch+json"
_APPLY = "application/apply-patch+yaml"
_STRATEGIC = "application/strategic-merge-patch+json"
_PATCHES = (_JSON_PATCH, _MERGE, _STRATEGIC, _APPLY, "application/apply-patch+cbor")


class Answer(NamedTuple):
    """HTTP status and object."""

    status: int
    object: Object


class Resources:
    """The API's verbs on objects. Authorization has happened. Everything raises StatusError."""

    def __init__(
        self, registry: Registry, authorizer: Authorizer, authenticator: Authenticator, signer: TokenSigner | None
    ) -> None:
        self.registry = registry
        self.authorizer = authorizer
        self.authenticator = authenticator
        self.signer = signer

    async def call(
        self, user: User, info: RequestInfo, query: Query, body: Object | list[Any], content_type: str
    ) -> Answer:
        """Carry out any verb but watch. A body of wrong types is the client's mistake: BadRequest."""
        kind = _kind(info)
        if not kind.namespaced:
            info = info._replace(namespace="")  # /namespaces/x is authorized in namespace x but stored in none
        try:
            return await self._call(user, info, kind, query, body, content_type)
        except (TypeError, AttributeError, KeyError, ValueError) as error:
            if not body:
                raise
            klog.error("rest.go:102", "Malformed request body", err=f"{type(error).__name__}: {error}", URI=info.path)
            text = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {error}'
            raise apistatus.bad_request(text) from error

    async def _call(
        self, user: User, info: RequestInfo, kind: Kind, query: Query, body: Object | list[Any], content_type: str
    ) -> Answer:
        if info.subresource:
            found = await subresources.handle(self, user, info, kind, query, body)
            if found is not None:
                return Answer(*found)
        elif info.verb not in kind.verbs:
            raise apistatus.method_not_allowed(kind.plural, info.verb, kind.group)
        match info.verb:
            case "get":
                await self._read(query)
                return Answer(200, self._out(kind, self.registry.get(kind, info.namespace, info.name)))
            case "list":
                await self._read(query)
                return Answer(200, self.list_objects(kind, info, query))
            case "create":
                return await self._create(user, info, kind, query, _mapping(body))
            case "update":
                return await self._update(user, info, kind, query, _mapping(body))
            case "patch":
                return await self._patch(user, info, kind, query, body, content_type)
            case "delete":
                return await self._delete(info, kind, query, body)
            case "deletecollection":
                return await self._delete_collection(info, kind, query, body)
        raise apistatus.method_not_allowed(kind.plural, info.verb, kind.group)

    async def _read(self, query: Query) -> None:
        """Unless any version will do (resourceVersion=0), an answer shows all that was written before the question."""
        if first(query, "resourceVersion") != "0":
            await self.registry.store.current()

    def list_objects(self, kind: Kind, info: RequestInfo, query: Query) -> Object:
        """A list object."""
        label, field = _selectors(kind, query, info.name)
        items = self.registry.list(kind, info.namespace if kind.namespaced else "", label, field)
        return {
            "kind": kind.list_kind,
            "apiVersion": kind.api_version,
            "metadata": {"resourceVersion": str(self.registry.store.revision)},
            "items": [self._out(kind, item) for item in items],
        }

    async def watch(self, info: RequestInfo, query: Query) -> AsyncIterator[Object]:
        """Watch events. Raises before the first one."""
        kind = _kind(info)
        namespace = info.namespace if kind.namespaced else ""
        if "watch" not in kind.verbs:
            raise apistatus.method_not_allowed(kind.plural, info.verb, kind.group)
        label, field = _selectors(kind, query, info.name)
        view = watching.Filter(namespace, label, field)
        found = await watching.start(self.registry.store, kind, view, query)
        return found if kind.resource != "events.events.k8s.io" else _new_events(found)

    def _out(self, kind: Kind, obj: Object) -> Object:
        return events.to_new(obj) if kind.resource == "events.events.k8s.io" else obj

    def _in(self, kind: Kind, obj: Object) -> Object:
        return events.to_core(obj) if kind.storage == "events" else obj

    async def _create(self, user: User, info: RequestInfo, kind: Kind, query: Query, body: Object) -> Answer:
        _check_kind(kind, body)
        if kind.verbs == ("create",):
            return Answer(201, await subresources.review(self, user, kind, info, body))
        obj = self._in(kind, body)
        stored = subresources.stored_kind(kind)
        created = await self.registry.create(stored, info.namespace, obj, user, dry_run=_dry(query, body))
        return Answer(201, self._out(kind, created))

    async def _update(self, user: User, info: RequestInfo, kind: Kind, query: Query, body: Object) -> Answer:
        _check_kind(kind, body)
        obj = self._in(kind, body)
        name = (obj.get("metadata") or {}).get("name", info.name)
        if name != info.name:
            text = f"the name of the object ({name}) does not match the name on the URL ({info.name})"
            raise apistatus.bad_request(text)
        stored, dry = subresources.stored_kind(kind), _dry(query, body)
        missing = self.registry.store.get(kind.storage, info.namespace, info.name) is None
        if missing and kind.resource in strategies.CREATE_ON_UPDATE and not info.subresource:
            made = await self.registry.create(stored, info.namespace, obj, user, dry_run=dry)
            return Answer(201, self._out(kind, made))
        changed = await self.registry.update(
            stored, info.namespace, info.name, lambda _: obj, user, subresource=info.subresource, dry_run=dry
        )
        return Answer(200, self._out(kind, changed))

    async def _patch(
        self, user: User, info: RequestInfo, kind: Kind, query: Query, body: Object | list[Any], content_type: str
    ) -> Answer:
        stored, dry = subresources.stored_kind(kind), _dry(query, body)
        missing = self.registry.store.get(kind.storage, info.namespace, info.name) is None
        if content_type == _APPLY and missing and not info.subresource:
            obj = copy.deepcopy(_mapping(body))
            obj.setdefault("metadata", {})["name"] = info.name
            return Answer(201, await self.registry.create(stored, info.namespace, obj, user, dry_run=dry))

        def change(old: Object) -> Object:
            source = self._out(kind, old)
            try:
                return self._in(kind, _apply(kind, source, body, content_type))
            except patch.PatchError as error:
                cause = apistatus.Cause("FieldValueInvalid", str(error), "")
                raise apistatus.invalid(kind.kind, info.name, [cause], kind.group) from error
            except (TypeError, AttributeError, KeyError, decoding.TypeMismatchError) as error:
                value = json.dumps(json.dumps(body, separators=(",", ":")))
                text = f' "" is invalid: patch: Invalid value: {value}: {error}'
                cause = apistatus.Cause("FieldValueInvalid", f"Invalid value: {value}: {error}", "patch")
                raise apistatus.StatusError(422, "Invalid", text, {"causes": [cause._asdict()]}) from error

        changed = await self.registry.update(
            stored, info.namespace, info.name, change, user, subresource=info.subresource, dry_run=dry
        )
        return Answer(200, self._out(kind, changed))

    async def _delete(self, info: RequestInfo, kind: Kind, query: Query, body: object) -> Answer:
        options = _delete_options(query, body)
        self.registry.admit_delete(kind, info.name)
        stored = subresources.stored_kind(kind)
        obj, gone = await self.registry.delete(stored, info.namespace, info.name, options, dry_run=_dry(query, options))
        if not gone or kind.resource in strategies.RETURNS_DELETED:
            return Answer(200, self._out(kind, obj))
        details = {"name": info.name, "group": kind.group, "kind": kind.plural, "uid": obj["metadata"]["uid"]}
        return Answer(200, apistatus.success({key: value for key, value in details.items() if value}))

    async def _delete_collection(self, info: RequestInfo, kind: Kind, query: Query, body: object) -> Answer:
        options = _delete_options(query, body)
        await self.registry.store.current()
        found = self.list_objects(kind, info, query)
        stored = subresources.stored_kind(kind)
        for item in found["items"]:
            metadata = item["metadata"]
            self.registry.admit_delete(kind, metadata["name"])
            await self.registry.delete(stored, metadata.get("namespace", ""), metadata["name"], options)
        return Answer(200, found)


def _apply(kind: Kind, source: Object, body: Object | list[Any], content_type: str) -> Object:
    how = {_JSON_PATCH: patch.json_patch, _MERGE: patch.merge, _STRATEGIC: patch.strategic, _APPLY: patch.apply}
    if content_type not in how:
        raise apistatus.unsupported_media_type(_PATCHES)
    result = how[content_type](source, body)
    if not isinstance(result, dict) or not isinstance(result.get("metadata"), dict):
        raise patch.PatchError("the patch does not leave an object")
    check = decoding.check_converted if content_type in (_STRATEGIC, _APPLY) else decoding.check
    check(kind, result)
    return result


async def _new_events(found: AsyncIterator[Object]) -> AsyncIterator[Object]:
    async for event in found:
        yield {**event, "object": events.to_new(event["object"])}


def _kind(info: RequestInfo) -> Kind:
    if info.kind is None:
        raise apistatus.unknown_path()
    if info.subresource and info.subresource not in info.kind.subresources:
        raise apistatus.unknown_path()
    return info.kind


def _mapping(body: object) -> Object:
    if not isinstance(body, dict):
        raise apistatus.bad_request("the request body must be an object")
    return body


def _check_kind(kind: Kind, body: Object) -> None:
    got = body.get("kind")
    if got not in (None, "", kind.kind, "Scale", "Eviction", "Binding", "TokenRequest"):
        text = f"{kind.plural} in version {kind.version!r} cannot be handled as a {kind.kind}: no kind {got!r} expected"
        raise apistatus.bad_request(text.replace("'", '"'))
    version = body.get("apiVersion")
    if version not in (None, "", kind.api_version) and got == kind.kind:
        text = f"the API version in the data ({version}) does not match the expected API version ({kind.api_version})"
        raise apistatus.bad_request(text)
    if got in (None, "", kind.kind):
        try:
            decoding.check(kind, body)
        except decoding.TypeMismatchError as error:
            text = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {error}'
            raise apistatus.bad_request(text) from error


def _selectors(kind: Kind, query: Query, name: str) -> tuple[labels.Selector, tuple[labels.FieldRequirement, ...]]:
    try:
        label = labels.parse(first(query, "labelSelector"))
        field = labels.parse_fields(first(query, "fieldSelector"))
    except labels.SelectorError as error:
        raise apistatus.bad_request(str(error)) from error
    fields.check(kind, field)
    if name:
        field = (*field, labels.FieldRequirement("metadata.name", True, name))
    return label, field


def _dry(query: Query, body: object) -> bool:
    in_body = body.get("dryRun") if isinstance(body, dict) else None
    return "All" in query.get("dryRun", []) or in_body == ["All"]


def _delete_options(query: Query, body: object) -> Object:
    options: Object = dict(body) if isinstance(body, dict) else {}
    grace = first(query, "gracePeriodSeconds")
    if grace:
        if not grace.isdecimal():
            raise apistatus.bad_request(f'strconv.ParseInt: parsing "{grace}": invalid syntax')
        options["gracePeriodSeconds"] = int(grace)
    policy = first(query, "propagationPolicy")
    if policy:
        options["propagationPolicy"] = policy
    return options
