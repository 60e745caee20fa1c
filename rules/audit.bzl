# SPDX-License-Identifier: Apache-2.0
"""`pytrace_audit`: runs the actions of targets traced, and reports what they read undeclared, do not use, and vary in."""

load("//rules:toolchain.bzl", "PytraceInfo")

PytraceAuditInfo = provider(
    doc = "What was found in the actions of a target and of what it is made from.",
    fields = {"reports": "Depset of reports, one an action."},
)

# Actions of ours, of which there is nothing to say, and those that other actions' commands are run by.
_LEFT_OUT = ["PytraceAudit", "PytraceStatus", "PytraceReport", "TestRunner"]
_EDGES = ["actual", "data", "deps", "exec_tools", "hdrs", "srcs", "tool", "tools"]

def _sources(rule_attr):
    """Returns the files that the target declares as inputs by name, of which an action may use none."""
    found = []
    for name in ["srcs", "hdrs"]:
        for target in getattr(rule_attr, name, []) or []:
            if type(target) == "Target":
                found += [file.path for file in target.files.to_list()]
    return found

def _audit(ctx, target, action, number, sources):
    """Registers the audit of one action; returns its report."""
    pytrace = ctx.attr._pytrace[PytraceInfo]
    stem = "%s.audit.%d" % (target.label.name, number)
    described = ctx.actions.declare_file(stem + ".action")
    report = ctx.actions.declare_file(stem + ".json")
    folders = [file.path for file in action.outputs.to_list() if file.is_directory]
    ctx.actions.write(described, struct(
        argv = action.argv,
        env = action.env,
        folders = folders,
        host_paths = getattr(ctx.rule.attr, "host_paths", []) or [],
        inputs = [file.path for file in action.inputs.to_list()],
        mnemonic = action.mnemonic,
        outputs = [file.path for file in action.outputs.to_list()],
        sources = sources,
        target = str(target.label),
    ).to_json())
    ctx.actions.run(
        executable = pytrace.pytrace,
        arguments = ["bazel-audit", "--action", described.path, "--output", report.path],
        inputs = depset([described], transitive = [action.inputs]),
        outputs = [report],
        execution_requirements = {"no-cache": "", "no-remote": ""},
        mnemonic = "PytraceAudit",
        progress_message = "Auditing %s of %s" % (action.mnemonic, target.label),
    )
    return report

def _aspect_impl(target, ctx):
    sources = _sources(ctx.rule.attr)
    reports = []
    for action in target.actions:
        if action.argv and action.mnemonic not in _LEFT_OUT:
            reports.append(_audit(ctx, target, action, len(reports), sources))
    below = []
    for edge in _EDGES:
        value = getattr(ctx.rule.attr, edge, None)
        for other in value if type(value) == "list" else [value]:
            if type(other) == "Target" and PytraceAuditInfo in other:
                below.append(other[PytraceAuditInfo].reports)
    found = depset(reports, transitive = below)
    return [PytraceAuditInfo(reports = found), OutputGroupInfo(pytrace_audit = found)]

pytrace_audit_aspect = aspect(
    implementation = _aspect_impl,
    doc = "Audits the actions of a target and of what it is made from; `--output_groups=pytrace_audit` builds the reports.",
    attr_aspects = _EDGES,
    attrs = {
        "_pytrace": attr.label(
            default = "@pytrace_config//:tools",
            doc = "The toolchain that `pytrace_repositories()` makes.",
            providers = [PytraceInfo],
        ),
    },
)

def _pytrace_audit_impl(ctx):
    pytrace = ctx.attr._pytrace[PytraceInfo]
    reports = depset(transitive = [target[PytraceAuditInfo].reports for target in ctx.attr.targets])
    made = []
    for form, ending in {"json": "json", "sarif": "sarif", "text": "txt"}.items():
        out = ctx.actions.declare_file("%s.%s" % (ctx.label.name, ending))
        words = ctx.actions.args()
        words.add_all(["bazel-audit", "--format", form, "--output", out])
        words.add_all(reports)
        ctx.actions.run(
            executable = pytrace.pytrace,
            arguments = [words],
            inputs = reports,
            outputs = [out],
            mnemonic = "PytraceReport",
        )
        made.append(out)
    return [DefaultInfo(files = depset(made))]

pytrace_audit = rule(
    implementation = _pytrace_audit_impl,
    doc = """Runs the actions of targets, and of what they are made from, traced and again, and reports

undeclared reads (files of the host, absolute paths, network, environment), declared inputs that are not used, and
outputs that are not reproducible. Makes `NAME.txt`, `NAME.json` and `NAME.sarif`. It never fails for what it finds.
""",
    attrs = {
        "targets": attr.label_list(
            aspects = [pytrace_audit_aspect],
            doc = "What is audited.",
            mandatory = True,
        ),
        "_pytrace": attr.label(
            default = "@pytrace_config//:tools",
            doc = "The toolchain that `pytrace_repositories()` makes.",
            providers = [PytraceInfo],
        ),
    },
)
