# SPDX-License-Identifier: Apache-2.0
"""Bazel's execution logs: reading each of their three forms, and telling how two builds differ."""
