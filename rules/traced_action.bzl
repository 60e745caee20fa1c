# SPDX-License-Identifier: Apache-2.0
"""What all traced rules share: their attributes, and the action that runs a command under `pytrace-exec`."""

load("//rules:toolchain.bzl", "PytraceInfo")

TRACING_ATTRS = {
    "clock": attr.bool(
        doc = "Store the result although the command asks for the time.",
    ),
    "disposable": attr.string_list(
        doc = "Globs of scratch files and caches that a tool checks itself.",
    ),
    "env_inherit": attr.string_list(
        doc = "Variables that count although `pytrace-exec` would leave them out (such as `USER`).",
    ),
    "host_paths": attr.string_list(
        doc = "Paths outside the workspace that it may read: `pytrace_audit` does not report what is below them.",
    ),
    "network": attr.bool(
        doc = "Store the result although the command talks to somebody. Else it is asked at every build.",
    ),
    "remote": attr.bool(
        default = True,
        doc = "Whether the toolchain's remote is used for it.",
    ),
    "strict": attr.bool(
        doc = "Exact facts only: no relaxation, and results are shared with no other folder or user.",
    ),
    "_pytrace": attr.label(
        default = "@pytrace_config//:tools",
        doc = "The toolchain that `pytrace_repositories()` makes.",
        providers = [PytraceInfo],
    ),
}

_TAGS = ["exclusive", "local", "no-remote", "no-sandbox", "requires-fakeroot", "requires-network", "block-network"]

def requirements(ctx):
    """Execution requirements of a traced action: what tags say, and that Bazel's own remote cache has no part.

    Bazel's key does not know what is read undeclared, so that its cache would serve stale results. The one of
    `pytrace-exec` does.

    Args:
      ctx: context of the rule.
    Returns:
      A dictionary.
    """
    found = {tag: "" for tag in ctx.attr.tags if tag in _TAGS or tag.startswith("cpu:") or tag.startswith("resources:")}
    found.update({"no-cache": "", "no-remote": ""})
    if ctx.attr.network:
        found["requires-network"] = ""
    return found

def tracing_options(ctx, mnemonic):
    """Options of `pytrace-exec` for a rule's attributes.

    Args:
      ctx: context of the rule.
      mnemonic: what kind of action it is.
    Returns:
      A list of words.
    """
    pytrace = ctx.attr._pytrace[PytraceInfo]
    words = list(pytrace.options) + ["--verbose", "--label", "target=%s" % ctx.label, "--label", "mnemonic=" + mnemonic]
    words += pytrace.remote if ctx.attr.remote else []
    words += ["--strict"] if ctx.attr.strict else ["--portable"]
    words += ["--allow-network"] if ctx.attr.network else []
    words += ["--allow-clock"] if ctx.attr.clock else []
    for glob in ctx.attr.disposable:
        words += ["--disposable", glob]
    for name in ctx.attr.env_inherit:
        words += ["--env", name]
    return words

def traced_action(ctx, command, inputs, outputs, mnemonic, tools = [], input_manifests = None, env = {}, message = None):
    """Registers an action that runs a command under `pytrace-exec`.

    Args:
      ctx: context of the rule, which has `TRACING_ATTRS`.
      command: words of the command; strings, or an `Args` at the end.
      inputs: depset of declared inputs.
      outputs: files and directories that it makes.
      mnemonic: what kind of action it is.
      tools: further inputs with their runfiles, as `ctx.actions.run` takes them.
      input_manifests: as `ctx.actions.run` takes them.
      env: variables of the command.
      message: what Bazel shows while it runs.
    """
    pytrace = ctx.attr._pytrace[PytraceInfo]
    listed = ctx.actions.declare_file(ctx.label.name + ".pytrace-inputs")
    names = ctx.actions.args()
    names.set_param_file_format("multiline")
    names.add_all(inputs, expand_directories = False)
    names.add_all([tool for tool in tools if type(tool) == "File"], expand_directories = False)
    ctx.actions.write(listed, names)
    unused = ctx.actions.declare_file(ctx.label.name + ".pytrace-unused")

    words = ctx.actions.args()
    words.add_all(tracing_options(ctx, mnemonic))
    words.add("--root", ".")
    words.add("--inputs-file", listed)
    words.add("--unused-inputs-list", unused)
    words.add_all(outputs, before_each = "--output", expand_directories = False)
    words.add("--")
    ctx.actions.run(
        executable = pytrace.pytrace_exec,
        arguments = [words] + command,
        inputs = depset([listed, pytrace.status], transitive = [inputs]),
        outputs = outputs + [unused],
        tools = tools,
        input_manifests = input_manifests,
        env = dict(env, **pytrace.environment),
        execution_requirements = requirements(ctx),
        mnemonic = mnemonic,
        progress_message = message,
        unused_inputs_list = unused,
        use_default_shell_env = True,
    )
