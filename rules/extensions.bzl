# SPDX-License-Identifier: Apache-2.0
"""For MODULE.bazel: the repository that finds `pytrace-exec`, with its defaults. Untested: WORKSPACE is what is tested."""

load("//rules:repositories.bzl", "pytrace_config")

def _pytrace_impl(_module_ctx):
    pytrace_config(name = "pytrace_config")

pytrace = module_extension(
    implementation = _pytrace_impl,
    doc = "Makes `@pytrace_config`, which holds the toolchain of all traced rules.",
)
