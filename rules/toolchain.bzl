# SPDX-License-Identifier: Apache-2.0
"""The toolchain: which `pytrace-exec` runs traced actions, over which store, and what makes Bazel ask again.

It is a plain target that rules name, `@pytrace_config//:tools`. Bazel's toolchain resolution would load every toolchain
that is registered, those of languages that a workspace has no use for among them, which Bazel would have to download.
"""

PytraceInfo = provider(
    doc = "How traced actions are run.",
    fields = {
        "environment": "Variables that `pytrace-exec` itself is given.",
        "options": "Options of `pytrace-exec` that every action has, but those of the remote.",
        "pytrace": "Path of `pytrace`.",
        "pytrace_exec": "Path of `pytrace-exec`.",
        "remote": "Options of the remote; empty without one.",
        "status": "File that is another one when something changed that traced actions read undeclared.",
        "version": "What `pytrace-exec --version` said.",
    },
)

def _status_file(ctx):
    """Writes what `pytrace bazel-status` said, and nothing of what else is in the stable status."""
    out = ctx.actions.declare_file(ctx.label.name + ".status")
    ctx.actions.run_shell(
        inputs = [ctx.info_file],
        outputs = [out],
        command = "sed -n 's/^STABLE_PYTRACE //p' \"$1\" > \"$2\"",
        arguments = [ctx.info_file.path, out.path],
        execution_requirements = {"no-cache": "", "no-remote": "", "no-sandbox": ""},
        mnemonic = "PytraceStatus",
        progress_message = "Looking whether anything changed that traced actions read undeclared",
    )
    return out

def _pytrace_toolchain_impl(ctx):
    remote = []
    if ctx.attr.remote:
        remote = ["--remote", ctx.attr.remote]
        if ctx.attr.instance_name:
            remote += ["--instance-name", ctx.attr.instance_name]
    labels = ["--label", "workspace=" + ctx.attr.workspace] if ctx.attr.workspace else []
    info = PytraceInfo(
        environment = {"PYTRACE_REMOTE_ONLY": "1"} if ctx.attr.remote_only else {},
        options = ["--dir", ctx.attr.store] + labels + ctx.attr.options,
        pytrace = ctx.attr.pytrace,
        pytrace_exec = ctx.attr.pytrace_exec,
        remote = remote,
        status = _status_file(ctx),
        version = ctx.attr.version,
    )
    return [info]

pytrace_toolchain = rule(
    implementation = _pytrace_toolchain_impl,
    doc = "Says how traced actions are run. `pytrace_repositories()` makes one for this machine.",
    attrs = {
        "instance_name": attr.string(
            doc = "Instance of the remote.",
        ),
        "options": attr.string_list(
            doc = "More options of `pytrace-exec`, given to every action.",
        ),
        "pytrace": attr.string(
            doc = "Absolute path of `pytrace`.",
            mandatory = True,
        ),
        "pytrace_exec": attr.string(
            doc = "Absolute path of `pytrace-exec`.",
            mandatory = True,
        ),
        "remote": attr.string(
            doc = "A REAPI cache behind the store.",
        ),
        "remote_only": attr.bool(
            doc = "Keep results in the remote only.",
        ),
        "store": attr.string(
            doc = "Folder of the store.",
            mandatory = True,
        ),
        "version": attr.string(
            doc = "What `pytrace-exec --version` said: another version runs actions again.",
        ),
        "workspace": attr.string(
            doc = "Folder of the workspace, for `pytrace bazel-status`.",
        ),
    },
)
