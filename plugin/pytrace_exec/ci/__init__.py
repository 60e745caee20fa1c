# SPDX-License-Identifier: Apache-2.0
"""Skipping a CI job that cannot have changed: what it read as git knows it, records, decisions (DESIGN 14)."""
