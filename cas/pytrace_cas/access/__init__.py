# SPDX-License-Identifier: Apache-2.0
"""Who calls and what they may do: certificates, passwords, tokens, rights; knows neither gRPC nor HTTP."""

from __future__ import annotations

from pytrace_cas.access.certificates import Certificates
from pytrace_cas.access.files import BadAccessFile
from pytrace_cas.access.guard import Guard
from pytrace_cas.access.identity import Identity
from pytrace_cas.access.rights import Right
from pytrace_cas.access.settings import AccessSettings, UselessOption

__all__ = ["AccessSettings", "BadAccessFile", "Certificates", "Guard", "Identity", "Right", "UselessOption"]
