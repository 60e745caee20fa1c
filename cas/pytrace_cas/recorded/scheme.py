# SPDX-License-Identifier: Apache-2.0
"""How a key's input root is laid out, and the version of it (DESIGN 3.1 to 3.3)."""

SCHEME = "2"
"""Version of the key scheme: results stored under another one are never found.

It is raised when keys are made otherwise, and when a mended version would not have stored what earlier ones did: a fact
that was missing, a reason not to store.
"""

FACTS = "facts"
"""The file beside the folders: every fact but content."""

TOPS = {b"%R": "root", b"%H": "home", b"%T": "tmp", b"%W": "workspace", b"%X": "execroot", b"%O": "output-base"}
"""The folder of each place; what lies in none is below `abs`."""
