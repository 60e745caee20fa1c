# SPDX-License-Identifier: Apache-2.0
"""`traced_genrule`: `genrule` with the same attributes, cached by what its command really read."""

load("//rules:traced_action.bzl", "TRACING_ATTRS", "traced_action")

def _folder(ctx):
    """Returns where the outputs of the package lie."""
    parts = [ctx.outputs.outs[0].root.path, ctx.label.workspace_root, ctx.label.package]
    return "/".join([part for part in parts if part])

def _variables(ctx):
    """Returns the make variables that a genrule has."""
    outs, srcs = ctx.outputs.outs, ctx.files.srcs
    folder = _folder(ctx)
    found = {
        # Of a single output, its folder, else the package's, as in a genrule.
        "@D": outs[0].dirname if len(outs) == 1 else folder,
        "BINDIR": ctx.bin_dir.path,
        "GENDIR": ctx.genfiles_dir.path,
        "OUTS": " ".join([out.path for out in outs]),
        "RULEDIR": folder,
        "SRCS": " ".join([src.path for src in srcs]),
    }
    if len(srcs) == 1:
        found["<"] = srcs[0].path
    if len(outs) == 1:
        found["@"] = outs[0].path
    for target in ctx.attr.toolchains:
        if platform_common.TemplateVariableInfo in target:
            found.update(target[platform_common.TemplateVariableInfo].variables)
    return found

def _traced_genrule_impl(ctx):
    command = ctx.attr.cmd_bash or ctx.attr.cmd
    if not command:
        fail("the command is empty: give cmd or cmd_bash", attr = "cmd")
    if not ctx.outputs.outs:
        fail("outs is empty: name what the command makes", attr = "outs")
    if ctx.attr.executable and len(ctx.outputs.outs) != 1:
        fail("executable takes a single output: the program", attr = "outs")
    tools = ctx.attr.tools + ctx.attr.exec_tools
    if ctx.attr.heuristic_label_expansion:
        targets = {str(target.label.name): target for target in ctx.attr.srcs + tools}
        for name, target in targets.items():
            if command.find("$(location " + name) < 0 and len(target.files.to_list()) == 1:
                command = command.replace("$(" + name + ")", target.files.to_list()[0].path)
    command = ctx.expand_location(command, ctx.attr.srcs + tools)
    command = ctx.expand_make_variables("cmd", command, _variables(ctx))
    tool_inputs, manifests = ctx.resolve_tools(tools = tools)
    words = ctx.actions.args()
    words.add_all([ctx.attr._shell, "-c", "source %s; %s" % (ctx.file._setup.path, command)])
    traced_action(
        ctx,
        command = [words],
        inputs = depset(ctx.files.srcs + [ctx.file._setup]),
        tools = tool_inputs.to_list(),
        input_manifests = manifests,
        outputs = ctx.outputs.outs,
        mnemonic = "TracedGenrule",
        message = ctx.attr.message or "Executing traced genrule %s" % ctx.label,
    )
    executable = ctx.outputs.outs[0] if ctx.attr.executable else None
    return [DefaultInfo(
        executable = executable,
        files = depset(ctx.outputs.outs),
        runfiles = ctx.runfiles(files = ctx.outputs.outs),
    )]

_ATTRS = dict(
    TRACING_ATTRS,
    cmd = attr.string(
        doc = "The command, for bash; `$(location)` and make variables are expanded as in a genrule.",
    ),
    cmd_bash = attr.string(
        doc = "The same; it counts before `cmd`.",
    ),
    exec_tools = attr.label_list(
        allow_files = True,
        cfg = "exec",
        doc = "Tools, for the execution platform.",
    ),
    executable = attr.bool(
        doc = "Whether the only output is a program that `bazel run` may run.",
    ),
    heuristic_label_expansion = attr.bool(
        doc = "Replace `$(label)` where the label is one of `srcs` or `tools`, too.",
    ),
    message = attr.string(
        doc = "What Bazel shows while it runs.",
    ),
    outs = attr.output_list(
        doc = "Files that it makes.",
        mandatory = True,
    ),
    srcs = attr.label_list(
        allow_files = True,
        doc = "Declared inputs.",
    ),
    tools = attr.label_list(
        allow_files = True,
        cfg = "exec",
        doc = "Tools that it runs, with their runfiles.",
    ),
    _setup = attr.label(
        allow_single_file = True,
        default = "@bazel_tools//tools/genrule:genrule-setup.sh",
        doc = "What every genrule begins with.",
    ),
    _shell = attr.string(
        default = "/bin/bash",
        doc = "The shell of every genrule.",
    ),
)

_traced_genrule = rule(
    implementation = _traced_genrule_impl,
    doc = "What `traced_genrule` makes.",
    attrs = _ATTRS,
    output_to_genfiles = True,
)

_traced_genrule_program = rule(
    implementation = _traced_genrule_impl,
    doc = "What `traced_genrule` makes with `executable`: `bazel run` runs programs of executable rules only.",
    attrs = _ATTRS,
    executable = True,
    output_to_genfiles = True,
)

# Of Windows, of licences that Bazel no longer looks at, and where nothing differs since outputs have one folder.
_NOT_FOR_HERE = ["cmd_bat", "cmd_ps", "licenses", "local", "output_licenses", "output_to_bindir"]

def traced_genrule(name, local = False, tags = [], **kwargs):
    """Takes the attributes of `genrule`, and those of tracing.

    Args:
      name: name of the target.
      local: run without a sandbox, as `genrule` does with it.
      tags: tags of the target.
      **kwargs: `cmd`, `cmd_bash`, `srcs`, `outs`, `tools`, `exec_tools`, `executable`, `message`, `toolchains`,
        `heuristic_label_expansion`, what every rule takes, and the attributes of tracing: `host_paths`, `network`,
        `clock`, `remote`, `disposable`, `env_inherit`, `strict`. Commands of Windows and licences are left out.
    """
    arguments = {key: value for key, value in kwargs.items() if key not in _NOT_FOR_HERE}
    made = _traced_genrule_program if kwargs.get("executable") else _traced_genrule
    made(name = name, tags = tags + (["local"] if local else []), **arguments)
