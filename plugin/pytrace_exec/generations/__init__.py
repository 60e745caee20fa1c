# SPDX-License-Identifier: Apache-2.0
"""Invalidation: what a user dropped, which runs that concerns, and how stores and remotes come to know (DESIGN 10)."""
