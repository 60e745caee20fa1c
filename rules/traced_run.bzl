# SPDX-License-Identifier: Apache-2.0
"""`traced_run`: any command as an action, cached by what it really read."""

load("//rules:traced_action.bzl", "TRACING_ATTRS", "traced_action")

def _expand(ctx, name, text, targets, made):
    """Expands `$(location)` and make variables."""
    return ctx.expand_make_variables(name, ctx.expand_location(text, targets), made)

def _traced_run_impl(ctx):
    if not ctx.outputs.outs and not ctx.attr.out_dirs:
        fail("outs and out_dirs are both empty: name what the command makes", attr = "outs")
    folders = [ctx.actions.declare_directory(name) for name in ctx.attr.out_dirs]
    outputs = ctx.outputs.outs + folders
    targets = ctx.attr.srcs + ctx.attr.tools + ([ctx.attr.tool] if ctx.attr.tool else [])
    made = {"OUTS": " ".join([out.path for out in outputs]), "RULEDIR": "/".join([part for part in [
        ctx.bin_dir.path,
        ctx.label.workspace_root,
        ctx.label.package,
    ] if part])}
    if len(outputs) == 1:
        made["@"] = outputs[0].path
    for folder in folders:
        made["DIR:" + folder.basename] = folder.path
    if ctx.attr.tool and ctx.attr.program:
        fail("tool and program exclude each other: tool is a target, program one of the host's", attr = "program")
    if ctx.attr.tool:
        program = ctx.executable.tool.path
    elif ctx.attr.program:
        program = ctx.attr.program
    else:
        fail("name what runs: tool (a target) or program (one of the host's)", attr = "tool")
    tool_inputs, manifests = ctx.resolve_tools(tools = ctx.attr.tools + ([ctx.attr.tool] if ctx.attr.tool else []))
    words = ctx.actions.args()
    words.add(program)
    words.add_all([_expand(ctx, "arguments", word, targets, made) for word in ctx.attr.arguments])
    traced_action(
        ctx,
        command = [words],
        inputs = depset(ctx.files.srcs),
        tools = tool_inputs.to_list(),
        input_manifests = manifests,
        outputs = outputs,
        env = {name: _expand(ctx, "env", value, targets, made) for name, value in ctx.attr.env.items()},
        mnemonic = ctx.attr.mnemonic,
        message = ctx.attr.message or None,
    )
    return [DefaultInfo(files = depset(outputs), runfiles = ctx.runfiles(files = outputs))]

traced_run = rule(
    implementation = _traced_run_impl,
    doc = """Runs a command under `pytrace-exec` as one action.

The result is taken from the cache when everything that the command read, declared or not, is as it was. Inputs that
were declared and not read are told to Bazel (`unused_inputs_list`).

`$(location)` and make variables are expanded in `arguments` and `env`; `$(OUTS)` and `$(RULEDIR)` are known, `$@` with a
single output, and `$(DIR:name)` for each of `out_dirs`.
""",
    attrs = dict(
        TRACING_ATTRS,
        arguments = attr.string_list(
            doc = "Arguments of the command.",
        ),
        env = attr.string_dict(
            doc = "Variables of the command.",
        ),
        message = attr.string(
            doc = "What Bazel shows while it runs.",
        ),
        mnemonic = attr.string(
            default = "TracedRun",
            doc = "Kind of the action, in Bazel's logs and as a label of the cache entry.",
        ),
        out_dirs = attr.string_list(
            doc = "Directories that it makes, relative to the package.",
        ),
        outs = attr.output_list(
            doc = "Files that it makes.",
        ),
        program = attr.string(
            doc = "What runs, a program of the host: a path, or a name that is looked for in PATH.",
        ),
        srcs = attr.label_list(
            allow_files = True,
            doc = "Declared inputs.",
        ),
        tool = attr.label(
            allow_files = True,
            cfg = "exec",
            doc = "What runs: an executable target or file.",
            executable = True,
        ),
        tools = attr.label_list(
            allow_files = True,
            cfg = "exec",
            doc = "Further executables that it runs, with their runfiles.",
        ),
    ),
)
