# SPDX-License-Identifier: Apache-2.0
"""What each call asks for: one right of several, in which instance. The same for gRPC and for HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from pytrace_cas.access.rights import Right
from pytrace_cas.services.resource_names import parse_download, parse_upload

if TYPE_CHECKING:
    from collections.abc import Callable

_READ, _CAS, _AC = (Right.READ,), (Right.CAS,), (Right.AC,)
_ANY = tuple(Right)


def _field(request: Any) -> str:
    name: str = request.instance_name
    return name


def _read_name(request: Any) -> str:
    return parse_download(request.resource_name).instance_name


def _upload_name(request: Any) -> str:
    return parse_upload(request.resource_name).instance_name


@attrs.frozen
class Demand:
    """Any one of `rights` will do, in the instance that `instance` finds in the (first) request."""

    rights: tuple[Right, ...]
    instance: Callable[[Any], str] = _field


_REAPI, _ASSET = "build.bazel.remote.execution.v2", "build.bazel.remote.asset.v1"
# By full name. A method that is not here is refused to everybody as soon as anybody is asked who they are.
DEMANDS = {
    # Whoever may do anything may ask what that is.
    f"{_REAPI}.Capabilities.GetCapabilities": Demand(_ANY),
    f"{_REAPI}.ActionCache.GetActionResult": Demand(_READ),
    f"{_REAPI}.ActionCache.UpdateActionResult": Demand(_AC),
    # Those who upload look first what need not be sent.
    f"{_REAPI}.ContentAddressableStorage.FindMissingBlobs": Demand((Right.READ, Right.CAS)),
    f"{_REAPI}.ContentAddressableStorage.BatchUpdateBlobs": Demand(_CAS),
    f"{_REAPI}.ContentAddressableStorage.BatchReadBlobs": Demand(_READ),
    f"{_REAPI}.ContentAddressableStorage.GetTree": Demand(_READ),
    f"{_REAPI}.ContentAddressableStorage.SplitBlob": Demand(_READ),
    f"{_REAPI}.ContentAddressableStorage.SpliceBlob": Demand(_CAS),
    "google.bytestream.ByteStream.Read": Demand(_READ, _read_name),
    "google.bytestream.ByteStream.Write": Demand(_CAS, _upload_name),
    "google.bytestream.ByteStream.QueryWriteStatus": Demand(_CAS, _upload_name),
    # Fetching brings blobs here; pushing says, as a result does, what others will be given under a name.
    f"{_ASSET}.Fetch.FetchBlob": Demand(_CAS),
    f"{_ASSET}.Fetch.FetchDirectory": Demand(_CAS),
    f"{_ASSET}.Push.PushBlob": Demand(_AC),
    f"{_ASSET}.Push.PushDirectory": Demand(_AC),
}


def of_http(method: str, kind: str) -> tuple[Right, ...]:
    """What a request for `ac` or `cas` asks for; PUT writes, everything else reads."""
    if method != "PUT":
        return _READ
    return _AC if kind == "ac" else _CAS


def of_webdav(method: str) -> tuple[Right, ...]:
    """What a request below `/webdav/` asks for, in the instance without a name: its names are nobody's blobs."""
    return _READ if method in ("GET", "HEAD", "PROPFIND", "OPTIONS") else _AC


# Pages and the API, by the name of the route; None: some right in some instance, as `/status` asks for. What they list
# is of instances that the caller may read.
WEB: dict[str, tuple[Right, ...] | None] = {
    "overview": None,
    "actions": None,
    "blob": _READ,
    "download": _READ,
    "diff": _READ,
    "invalidations": _READ,
    "invalidate": _AC,
    "undo": _AC,
    "drop": _AC,
    # The same for everybody: nobody is asked who they are.
    "static": (),
    "api_description": None,
    "api_statistics": None,
    "api_actions": None,
    "api_action": _READ,
    "api_blob": _READ,
    "api_directory": _READ,
    "api_diff": _READ,
    "api_paths": None,
    "api_invalidations": _READ,
}


def of_web(route: str) -> tuple[Right, ...] | None:
    """What a page or a part of the API asks for; one that has no row here is not served."""
    return WEB[route]
