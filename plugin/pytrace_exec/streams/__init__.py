# SPDX-License-Identifier: Apache-2.0
"""Descriptors 0, 1 and 2 of the command: what stands on them, recording them, replaying them."""
