# SPDX-License-Identifier: Apache-2.0
"""The environment of whoever started the session, from before it was scrubbed.

For what fetches from a registry: that needs the caller's home directory, certificates and settings.
"""

from __future__ import annotations

import os

ENVIRONMENT = dict(os.environ)
