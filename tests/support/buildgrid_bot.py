# SPDX-License-Identifier: Apache-2.0
"""A worker for BuildGrid, run by BuildGrid's own interpreter: takes leases, lets buildbox-run do them, gives results.

That is what buildbox-worker does, which no package index has: buildgrid_bot.py URL FOLDER BUILDBOX-RUN ARGUMENT...
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import grpc
from buildgrid._protos.build.bazel.remote.execution.v2 import remote_execution_pb2 as reapi
from buildgrid._protos.google.devtools.remoteworkers.v1test2 import bots_pb2 as bots
from buildgrid._protos.google.devtools.remoteworkers.v1test2.bots_pb2_grpc import BotsStub

POLL_SECONDS = 20


def work(lease: bots.Lease, folder: Path, command: list[str]) -> None:
    """Run a lease's action and complete the lease."""
    action = reapi.Action()
    lease.payload.Unpack(action)
    given, made = folder / "action", folder / "result"
    given.write_bytes(action.SerializeToString())
    done = subprocess.run([*command, f"--action={given}", f"--action-result={made}"], check=False)
    lease.status.code = 13 if done.returncode else 0
    if not done.returncode:
        lease.result.Pack(reapi.ActionResult.FromString(made.read_bytes()))
    lease.state = bots.COMPLETED


def main(url: str, folder: Path, command: list[str]) -> None:
    """Serve until killed."""
    with grpc.insecure_channel(url) as channel:
        stub = BotsStub(channel)
        new = bots.BotSession(bot_id="bot", status=bots.OK)
        new.worker.devices.add(handle="device")
        session = stub.CreateBotSession(bots.CreateBotSessionRequest(bot_session=new), timeout=POLL_SECONDS)
        while True:
            for lease in session.leases:
                if lease.state == bots.PENDING:
                    lease.state = bots.ACTIVE
                elif lease.state == bots.ACTIVE:
                    work(lease, folder, command)
            asked = bots.UpdateBotSessionRequest(name=session.name, bot_session=session)
            session = stub.UpdateBotSession(asked, timeout=POLL_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
