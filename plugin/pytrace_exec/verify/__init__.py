# SPDX-License-Identifier: Apache-2.0
"""Running a stored command again and holding what comes out against what is stored, without touching the tree."""
