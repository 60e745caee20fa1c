# SPDX-License-Identifier: Apache-2.0
"""Several processes that serve one store at one address, and the supervisor that starts, watches and stops them.

The supervisor imports neither gRPC nor protobuf nor asyncio: it is to stay small, and it forks.
"""
