# SPDX-License-Identifier: Apache-2.0
"""Who calls and what they may do: certificates, passwords, tokens, rights; knows neither gRPC nor HTTP.

What is here a supervisor may import; the rest, which needs the services' errors, is in the modules themselves.
"""

from __future__ import annotations

from pytrace_cas.access.files import BadAccessFile
from pytrace_cas.access.settings import AccessSettings, UselessOption

__all__ = ["AccessSettings", "BadAccessFile", "UselessOption"]
