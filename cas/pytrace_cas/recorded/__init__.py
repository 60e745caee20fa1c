# SPDX-License-Identifier: Apache-2.0
"""The forms in which traced results are stored, for whoever reads or writes them: canonical files, keys, places.

On the wrapper's hit path, but for `keys` and `described`. What is looked at, tried and replayed is `pytrace_exec`'s.
"""
