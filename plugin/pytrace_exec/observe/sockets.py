# SPDX-License-Identifier: Apache-2.0
"""The effects of calls on sockets: who the run talked to (DESIGN 5).

A peer inside the run is none: a port that the run bound, a socket file that it made. Sockets that are never
connected do not count, nor does a look-up of a name-service socket that is not there.
"""

from __future__ import annotations

import os

from pytrace_exec.observe.failures import failed
from pytrace_exec.observe.run import argument
from pytrace_exec.observe.transfers import transfer
from pytrace_exec.observe.world import Node
from pytrace_exec.policy import programs
from pytrace_exec.tracer.events import Expr, Flags

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.calls.table import Row
    from pytrace_exec.observe.processes import Task
    from pytrace_exec.observe.run import Run
    from pytrace_exec.tracer.events import Call, Value

_LOOPBACK = ("127.", "::1", "::ffff:127.")


def connect(run: Run, task: Task, call: Call, row: Row) -> None:
    """`connect`: a peer outside the run is a reason not to store."""
    _talk(run, task, call, argument(call, row, "address"))


def send(run: Run, task: Task, call: Call, row: Row) -> None:
    """`sendto`: with an address, as `connect`."""
    transfer(run, task, call, row)
    address = argument(call, row, "address")
    if address is not None:
        _talk(run, task, call, address)


def message(run: Run, task: Task, call: Call, row: Row) -> None:
    """`sendmsg` and `sendmmsg`: an address in a header, as `connect`."""
    transfer(run, task, call, row)
    header = argument(call, row, "header")
    for item in header if isinstance(header, tuple) else (header,):
        inner = item.get("msg_hdr", item) if isinstance(item, dict) else None
        if isinstance(inner, dict) and isinstance(inner.get("msg_name"), dict):
            _talk(run, task, call, inner["msg_name"])


def bind(run: Run, task: Task, call: Call, row: Row) -> None:
    """`bind`: the port is inside the run from now on; a socket file is an output that cannot be stored."""
    address = argument(call, row, "address")
    if not isinstance(address, dict) or call.error is not None:
        return
    port = _port(address)
    if port is not None:
        run.ports.add(port)
    path = address.get("sun_path")
    if isinstance(path, bytes):
        found = run.world.walk(path, task.context.cwd, False)
        run.note_new(call, found)
        run.world.bind(found.parent, found.name, Node("socket", None))
    elif _family(address) == "AF_NETLINK" and not _only_connects(run, task):
        run.refuse("network", None, call)


def socket_name(run: Run, task: Task, call: Call, row: Row) -> None:
    """`getsockname`: the port that the kernel chose for a socket of the run."""
    address = argument(call, row, "address")
    port = _port(address) if isinstance(address, dict) else None
    if port is not None and 0 in run.ports:
        run.ports.add(port)


def _talk(run: Run, task: Task, call: Call, address: Value) -> None:
    if not isinstance(address, dict):
        if call.error is None:
            run.refuse("network", None, call)
        return
    family, path = _family(address), address.get("sun_path")
    if family == "AF_UNSPEC" or (family == "AF_NETLINK" and _only_connects(run, task)):
        return
    if isinstance(path, bytes):
        found = run.world.walk(path, task.context.cwd)
        if call.error in ("ENOENT", "ENOTDIR", "EACCES"):
            failed(run, call, found)
        elif found.node is None or found.node.origin is not None:
            run.peers.add(f"unix:{os.fsdecode(path)}")
            run.refuse("network", path, call)
        return
    if _is_loopback(address) and _port(address) in run.ports:
        return
    run.peers.add(_peer(address))
    run.refuse("network", None, call)


def _only_connects(run: Run, task: Task) -> bool:
    return programs.uses_interfaces_to_connect(task.program, run.setting.root, run.real_path)


def _family(address: dict[str, Value]) -> str:
    family = address.get("sa_family")
    return next(iter(family.names), "") if isinstance(family, Flags) else ""


def _port(address: dict[str, Value]) -> int | None:
    for key in ("sin_port", "sin6_port"):
        value = address.get(key)
        if isinstance(value, Expr) and value.args and isinstance(value.args[0], int):
            return value.args[0]
    return None


def _peer(address: dict[str, Value]) -> str:
    """A peer as HOST:PORT, or by its family where it has neither."""
    host, port = _host(address), _port(address)
    if not host:
        return _family(address) or "unknown"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_loopback(address: dict[str, Value]) -> bool:
    return _host(address).startswith(_LOOPBACK)


def _host(address: dict[str, Value]) -> str:
    """The numeric address; "" when there is none."""
    for value in (address.get("sin_addr"), *address.values()):
        if isinstance(value, Expr) and value.name in ("inet_addr", "inet_pton"):
            text = next((word for word in reversed(value.args) if isinstance(word, bytes)), b"")
            return text.decode("ascii", "replace")
    return ""
