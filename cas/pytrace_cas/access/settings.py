# SPDX-License-Identifier: Apache-2.0
"""What the operator asks for: which files say who may do what."""

from __future__ import annotations

import attrs


class UselessOption(Exception):
    """An option does nothing without another one; `option` and `lacks` name them."""

    def __init__(self, option: str, lacks: str) -> None:
        super().__init__(f"{option} needs {lacks}")
        self.option = option
        self.lacks = lacks


@attrs.frozen
class AccessSettings:
    """Paths of files, each None where it is not used; all of them are read again on SIGHUP."""

    tls_cert_file: str | None = None
    tls_key_file: str | None = None
    tls_ca_file: str | None = None
    htpasswd_file: str | None = None
    bearer_token_file: str | None = None
    jwks_file: str | None = None
    jwt_audience: str | None = None
    jwt_issuer: str | None = None
    rights_file: str | None = None
    allow_unauthenticated_reads: bool = False

    @property
    def tls(self) -> bool:
        """Whether connections are encrypted."""
        return self.tls_cert_file is not None

    @property
    def authenticates(self) -> bool:
        """Whether callers can show who they are."""
        return any((self.tls_ca_file, self.htpasswd_file, self.bearer_token_file, self.jwks_file))

    def check(self) -> None:
        """Raise `UselessOption` where an option would do nothing: it would look safer than it is."""
        identities = "--tls-ca-file, --htpasswd-file, --bearer-token-file or --jwks-file"
        for option, given, lacks, met in (
            ("--tls-cert-file", self.tls_cert_file, "--tls-key-file", self.tls_key_file),
            ("--tls-key-file", self.tls_key_file, "--tls-cert-file", self.tls_cert_file),
            ("--tls-ca-file", self.tls_ca_file, "--tls-cert-file", self.tls_cert_file),
            ("--jwt-audience", self.jwt_audience, "--jwks-file", self.jwks_file),
            ("--jwt-issuer", self.jwt_issuer, "--jwks-file", self.jwks_file),
            ("--rights-file", self.rights_file, identities, self.authenticates),
            ("--allow-unauthenticated-reads", self.allow_unauthenticated_reads, identities, self.authenticates),
        ):
            if given and not met:
                raise UselessOption(option, lacks)

    def warnings(self, *, beyond_loopback: bool) -> list[str]:
        """Say what an operator should know before others find out."""
        found = []
        if beyond_loopback and not self.authenticates:
            found.append(f"anybody who reaches this server may read and write: {_CLOSE}")
        secrets = self.htpasswd_file or self.bearer_token_file or self.jwks_file
        if beyond_loopback and secrets and not self.tls:
            found.append("passwords and tokens travel in clear: use --tls-cert-file, or TLS in front of this server")
        if self.tls_ca_file and self.allow_unauthenticated_reads:
            found.append(
                "over gRPC, a client certificate is needed to read too: gRPC cannot ask for one and go without"
            )
        return found


_CLOSE = "use --tls-ca-file, --htpasswd-file, --bearer-token-file or --jwks-file, or listen at loopback"
