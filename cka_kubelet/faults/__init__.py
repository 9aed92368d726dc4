"""Faults: what an injector is, where injectors come from, and the journal by which every injection is undone."""

from cka_kubelet.faults.api import Context, Fault, Parameter, Step, Value, settle
from cka_kubelet.remote.objects import DeleteObject, Object, PatchObject, PutObject
from cka_kubelet.remote.steps import (
    Absent,
    DaemonReload,
    MoveFile,
    RemoveFile,
    ReplaceText,
    SetMode,
    Symlink,
    Unit,
    WriteFile,
)

__all__ = [
    "Absent",
    "Context",
    "DaemonReload",
    "DeleteObject",
    "Fault",
    "MoveFile",
    "Object",
    "Parameter",
    "PatchObject",
    "PutObject",
    "RemoveFile",
    "ReplaceText",
    "SetMode",
    "Step",
    "Symlink",
    "Unit",
    "Value",
    "WriteFile",
    "settle",
]
