# SPDX-License-Identifier: Apache-2.0
"""Why a stored result did not serve, in one vocabulary for all who tell it.

What a result depended on is held against another state: against today's by `pytrace_exec.explain`, which looks at the
machine, and against another result by `between`, which looks at the store alone. Knows nothing of tracing.
"""
