# SPDX-License-Identifier: Apache-2.0
"""Run a command under a tracer; see `events` for what a trace consists of."""
