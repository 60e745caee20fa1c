# SPDX-License-Identifier: Apache-2.0
"""The checks of the rules, a module a subject; importing a module registers its rules."""
