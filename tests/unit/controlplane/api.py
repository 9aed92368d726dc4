"""An API server in memory, for tests: `LocalClient` as cluster-admin, no socket."""

import weakref
from collections.abc import Coroutine
from typing import Any, TypeVar

from cka_kubelet.controlplane import bootstrap
from cka_kubelet.controlplane.admission import Admission
from cka_kubelet.controlplane.authn import MASTER, Authenticator
from cka_kubelet.controlplane.authz import Authorizer
from cka_kubelet.controlplane.localclient import LocalClient
from cka_kubelet.controlplane.registry import Registry, User
from cka_kubelet.controlplane.resources import Resources
from cka_kubelet.controlplane.sqlitestore import SQLiteStore

Result = TypeVar("Result")


def at_once(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine that never waits: nothing does over a store in memory."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    raise AssertionError("it waits")


def resources(path: str = ":memory:") -> Resources:
    """A populated API."""
    store = SQLiteStore(path)
    weakref.finalize(store, store._db.close)  # tests only forget it
    registry = Registry(store, Admission(store, "10.96.0.0/12"))
    at_once(bootstrap.populate(registry, "10.99.7.2", 6443, "10.96.0.1"))
    return Resources(registry, Authorizer(store), Authenticator(store, None), None)


def client(api: Resources, user: User = MASTER) -> LocalClient:
    """A client of it."""
    return LocalClient(api, user)
