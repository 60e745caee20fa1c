# SPDX-License-Identifier: Apache-2.0
"""System calls as data: their numbers, what each does, and what kind of value each argument is."""
