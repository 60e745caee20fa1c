# SPDX-License-Identifier: Apache-2.0
"""A call as the log tells of it, whichever protocol it came by."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import attrs
from google.protobuf.message import DecodeError

from pytrace_cas.logs import FIELDS
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterable

METADATA = "build.bazel.remote.execution.v2.requestmetadata-bin"
# Of a text that a client chose, no more than that is logged.
LONGEST = 300

access = logging.getLogger("pytrace_cas.access")


@attrs.define
class Call:
    """Who asks for what, how many bytes came and went, and for whom it was (`RequestMetadata`, WIRE 66).

    `method` is `/SERVICE/METHOD` of gRPC, or of HTTP, which has a `path` too. `identity` is for whoever finds out who
    asks.
    """

    protocol: str
    peer: str
    method: str
    path: str = ""
    identity: str = ""
    action: str = ""
    received: int = 0
    sent: int = 0
    begun: float = attrs.field(factory=time.perf_counter)
    metadata: reapi.RequestMetadata | None = None

    def read_metadata(self, headers: Iterable[tuple[str, str | bytes]]) -> None:
        """Find the call's RequestMetadata among its headers; one that cannot be read is no reason to fail."""
        for name, value in headers:
            if name == METADATA and isinstance(value, bytes):
                try:
                    self.metadata = reapi.RequestMetadata.FromString(value)
                except DecodeError:
                    return

    def fields(self) -> dict[str, str]:
        """Whose call it is: identity, action, target, mnemonic, invocation, tool; those that are known."""
        said = self.metadata or reapi.RequestMetadata()
        found = {
            "identity": self.identity,
            "action": said.action_id or self.action,
            "target": said.target_id,
            "mnemonic": said.action_mnemonic,
            "invocation": said.tool_invocation_id,
            "tool": said.tool_details.tool_name,
        }
        return {name: value[:LONGEST] for name, value in found.items() if value}

    def log(self, status: str) -> None:
        """Write a line of the access log."""
        asked = {"protocol": self.protocol, "peer": self.peer, "method": self.method}
        where = {"path": self.path[:LONGEST]} if self.path else {}
        numbers = {"seconds": round(time.perf_counter() - self.begun, 6), "received": self.received, "sent": self.sent}
        access.info("call", extra={FIELDS: {**asked, **where, "status": status, **numbers, **self.fields()}})
