# SPDX-License-Identifier: Apache-2.0
"""The server's certificate and key, and the authorities whose clients it knows: read, checked, read again."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import attrs

from pytrace_cas.access.files import BadAccessFile, content

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.access.settings import AccessSettings


@attrs.frozen
class Pems:
    """One reading of the files; `context` is made of it and proves that they fit together."""

    certificate: bytes
    key: bytes = attrs.field(repr=False)
    authorities: bytes | None
    context: ssl.SSLContext

    @classmethod
    def read(cls, settings: AccessSettings) -> Pems:
        """Read the files; raise `BadAccessFile`."""
        cert_file, key_file, ca_file = settings.tls_cert_file, settings.tls_key_file, settings.tls_ca_file
        assert cert_file is not None
        assert key_file is not None
        certificate, key = content(cert_file), content(key_file)
        authorities = None if ca_file is None else content(ca_file)
        return cls(certificate, key, authorities, _context(cert_file, key_file, ca_file))


def _context(cert_file: str, key_file: str, ca_file: str | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # An encrypted key would be asked for on the terminal.
        context.load_cert_chain(cert_file, key_file, password=_no_password)
    except (ssl.SSLError, ValueError) as error:
        raise BadAccessFile(
            cert_file, f"it and {key_file} are no certificate with its key ({_reason(error)})"
        ) from None
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except ssl.SSLError as error:
            raise BadAccessFile(ca_file, f"it holds no certificates ({_reason(error)})") from None
        # Health and probes must not need a certificate; who has none is a caller without an identity.
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)


class Certificates:
    """What is in force now. Connections that are open keep what they began with."""

    def __init__(self, settings: AccessSettings) -> None:
        """Read the files; raise `BadAccessFile`."""
        self._settings = settings
        self.pems = Pems.read(settings)

    def read(self) -> Callable[[], None]:
        """Read the files again; what comes back puts them in force. Raise `BadAccessFile`."""
        pems = Pems.read(self._settings)

        def use() -> None:
            self.pems = pems

        return use

    def context(self) -> ssl.SSLContext:
        """Return a context for a server of this process: each connection gets what is in force when it begins."""
        return _Current(self)


class _Current(ssl.SSLContext):
    """Stands for the context in force: a context that was changed in place would go on trusting old authorities."""

    _certificates: Certificates

    def __new__(cls, certificates: Certificates) -> _Current:
        self = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        self._certificates = certificates
        return self

    def __init__(self, certificates: Certificates) -> None:
        """Have no state of its own."""

    def wrap_bio(self, *arguments: Any, **keywords: Any) -> ssl.SSLObject:
        """Begin a connection, as asyncio does."""
        return self._certificates.pems.context.wrap_bio(*arguments, **keywords)
