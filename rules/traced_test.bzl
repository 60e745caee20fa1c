# SPDX-License-Identifier: Apache-2.0
"""`traced_test`: a test whose result is replayed, with log, XML and exit code, as long as all it read is the same."""

load("//rules:toolchain.bzl", "PytraceInfo")
load("//rules:traced_action.bzl", "TRACING_ATTRS", "requirements", "tracing_options")

# Bazel's variables of a test (its number, its shard, its filter) are in the key: each run of --runs_per_test and each
# shard has a result of its own. What the test writes into the places that Bazel names is replayed.
_SCRIPT = """\
#!/bin/bash
set -u
root=${{TEST_SRCDIR%%/bazel-out/*}}
# Names that begin so are no part of any listing that pytrace-exec sees.
inputs=$root/.pytrace-inputs-${{TEST_SHARD_INDEX:-0}}-${{TEST_RUN_NUMBER:-1}}
sed "s|^|$root/|" {listed} > "$inputs"
places=()
for place in "${{XML_OUTPUT_FILE:-}}" "${{TEST_SHARD_STATUS_FILE:-}}" "${{TEST_UNDECLARED_OUTPUTS_DIR:-}}" \\
    "${{TEST_TMPDIR:-}}"; do
    [ -z "$place" ] || places+=(--output "$place")
done
{environment}exec {pytrace_exec} --root "$root" --inputs-file "$inputs" "${{places[@]}}" -- {program} {arguments} "$@"
"""

def _quoted(word):
    return "'" + word.replace("'", "'\\''") + "'"

def _traced_test_impl(ctx):
    pytrace = ctx.attr._pytrace[PytraceInfo]
    targets = ctx.attr.srcs + ctx.attr.data + [ctx.attr.tool]
    runfiles = ctx.runfiles(files = ctx.files.srcs + ctx.files.data + [ctx.executable.tool])
    for target in targets:
        runfiles = runfiles.merge(target[DefaultInfo].default_runfiles)
    listed = ctx.actions.declare_file(ctx.label.name + ".pytrace-inputs")
    names = ctx.actions.args()
    names.set_param_file_format("multiline")
    names.add_all(runfiles.files, expand_directories = False)
    ctx.actions.write(listed, names)

    program = ctx.executable.tool.short_path
    options = [pytrace.pytrace_exec] + tracing_options(ctx, "TracedTest")
    script = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(script, _SCRIPT.format(
        arguments = " ".join([_quoted(ctx.expand_location(word, targets)) for word in ctx.attr.arguments]),
        environment = "".join(["export %s=%s\n" % (name, _quoted(value)) for name, value in pytrace.environment.items()]),
        listed = _quoted(listed.short_path),
        program = _quoted(program if program.startswith("../") else "./" + program),
        pytrace_exec = " ".join([_quoted(word) for word in options]),
    ), is_executable = True)
    return [
        DefaultInfo(
            executable = script,
            runfiles = runfiles.merge(ctx.runfiles(files = [listed, pytrace.status])),
        ),
        testing.ExecutionInfo(requirements(ctx)),
        testing.TestEnvironment({
            name: ctx.expand_location(value, targets)
            for name, value in ctx.attr.env.items()
        }),
    ]

traced_test = rule(
    implementation = _traced_test_impl,
    doc = """Runs a test under `pytrace-exec`.

A test that passed is replayed as long as all that it read, declared or not, is the same. One that failed runs again.
Sharding, `--runs_per_test` and `--test_filter` work as ever: each has its own result. Arguments are named `arguments`; what
`bazel test --test_arg` gives follows them.
""",
    attrs = dict(
        TRACING_ATTRS,
        arguments = attr.string_list(
            doc = "Arguments of the test; `$(location)` is expanded to what is seen from the runfiles.",
        ),
        data = attr.label_list(
            allow_files = True,
            doc = "Files that it reads, with their runfiles.",
        ),
        env = attr.string_dict(
            doc = "Variables of the test.",
        ),
        srcs = attr.label_list(
            allow_files = True,
            doc = "Further files that it reads.",
        ),
        tool = attr.label(
            allow_files = True,
            cfg = "target",
            doc = "What runs: an executable target or file.",
            executable = True,
            mandatory = True,
        ),
    ),
    test = True,
)
