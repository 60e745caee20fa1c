# SPDX-License-Identifier: Apache-2.0
"""What one client, or many, may take of the gRPC server; and its certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:
    from pytrace_cas.access.certificates import Certificates, Pems

# Answers stay below the 4 MiB that clients accept; requests may be larger: BuildStream writes pieces of 5 MB, and
# 10^5 digests to look for take 7.5 MB.
LARGEST_REQUEST = 16 << 20
MOST_CONNECTIONS = 4096
MOST_STREAMS = 1000
LARGEST_HEADERS = 16 << 10
OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST_REQUEST),
    ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
    ("grpc.max_concurrent_streams", MOST_STREAMS),
    ("grpc.max_metadata_size", LARGEST_HEADERS),
    ("grpc.absolute_max_metadata_size", LARGEST_HEADERS),
    # A client that is gone without a word is noticed within 80 seconds, and its streams end.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Clients may ask as often themselves, also between calls: else gRPC drops them for it.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.server_handshake_timeout_ms", 20_000),
    # Told to go, clients connect again when they next need to.
    ("grpc.max_connection_idle_ms", 3_600_000),
)


def credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """Return credentials that ask, for each connection, for the certificates in force."""
    given: Pems | None = None

    def current() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        pems = certificates.pems
        if given is pems:
            return None
        given = pems
        return _configuration(certificates)

    # Without authorities nobody is asked for a certificate; with them gRPC cannot but insist on one.
    return grpc.dynamic_ssl_server_credentials(
        _configuration(certificates),
        current,  # type: ignore[arg-type]  # None means that nothing has changed, as its documentation says
        require_client_authentication=certificates.pems.authorities is not None,
    )


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    pems = certificates.pems
    return grpc.ssl_server_certificate_configuration([(pems.key, pems.certificate)], pems.authorities)
