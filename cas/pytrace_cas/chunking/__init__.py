# SPDX-License-Identifier: Apache-2.0
"""Content-defined chunking: where a stream is cut hangs on the bytes around the cut alone.

`fast_cdc` and `rep_max_cdc` are REAPI's two functions, cut for cut. They need numpy, which is imported with them:
only a process that cuts pays for it.
"""
