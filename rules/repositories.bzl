# SPDX-License-Identifier: Apache-2.0
"""Finds an installed `pytrace-exec`, decides where its store is, and makes the toolchain. Nothing is downloaded."""

_BUILD = """\
load("@pytrace//rules:toolchain.bzl", "pytrace_toolchain")

package(default_visibility = ["//visibility:public"])

pytrace_toolchain(
    name = "tools",
    instance_name = {instance_name},
    options = {options},
    pytrace = {pytrace},
    pytrace_exec = {pytrace_exec},
    remote = {remote},
    remote_only = {remote_only},
    store = {store},
    version = {version},
    workspace = {workspace},
)
"""

_MISSING = """\
pytrace-exec was not found. Install it (pip install pytrace-exec) so that it is on PATH when Bazel's server starts, \
or say where it is: pytrace_repositories(pytrace_exec = "/path/to/pytrace-exec"), \
pytrace_repositories(checkout = "/path/to/a/checkout/with/.venv"), or PYTRACE_EXEC in the environment."""

_NO_STORE = """\
nothing says where the store of pytrace-exec is: neither HOME nor XDG_CACHE_HOME is set. Name it: \
pytrace_repositories(store = "/path") or PYTRACE_DIR in the environment."""

_RELATIVE = """\
the store of pytrace-exec is %s, which is no absolute path: every action would begin one of its own. Name it from / on: \
pytrace_repositories(store = "/path") or PYTRACE_DIR in the environment."""

def _find(repository_ctx):
    """Returns the paths of `pytrace-exec` and `pytrace`, which lie beside each other."""
    named = repository_ctx.attr.pytrace_exec or repository_ctx.os.environ.get("PYTRACE_EXEC", "")
    if not named and repository_ctx.attr.checkout:
        named = repository_ctx.attr.checkout + "/.venv/bin/pytrace-exec"
    found = repository_ctx.path(named) if named else repository_ctx.which("pytrace-exec")
    if not found or not found.exists:
        fail(_MISSING + (" Nothing is at %s." % named if named else ""))
    return str(found), str(found.dirname) + "/pytrace"

def _store(repository_ctx):
    """Returns the folder of the store."""
    environ = repository_ctx.os.environ
    if repository_ctx.attr.store:
        return repository_ctx.attr.store
    if environ.get("PYTRACE_DIR"):
        return environ["PYTRACE_DIR"]
    if repository_ctx.attr.remote_only:
        # Bazel's sandbox lets actions write to /tmp.
        user = repository_ctx.execute(["id", "-u"]).stdout.strip()
        return "/tmp/pytrace-bazel-" + user
    if environ.get("XDG_CACHE_HOME"):
        return environ["XDG_CACHE_HOME"] + "/pytrace"
    if environ.get("HOME"):
        return environ["HOME"] + "/.cache/pytrace"
    return fail(_NO_STORE)

def _workspace(repository_ctx):
    """Returns the folder of the workspace that is built; every output base says which it is of."""
    root = getattr(repository_ctx, "workspace_root", None)
    if root:
        return str(root)
    said = repository_ctx.path("../../DO_NOT_BUILD_HERE")
    return repository_ctx.read(said).strip() if said.exists else ""

def _pytrace_config_impl(repository_ctx):
    pytrace_exec, pytrace = _find(repository_ctx)
    asked = repository_ctx.execute([pytrace_exec, "--version"])
    if asked.return_code:
        fail("%s --version ended with %d: %s" % (pytrace_exec, asked.return_code, asked.stderr))
    if repository_ctx.attr.remote_only and not repository_ctx.attr.remote:
        fail("remote_only needs a remote: pytrace_repositories(remote = \"grpc://HOST:PORT\", remote_only = True)")
    store = _store(repository_ctx)
    if not store.startswith("/"):
        fail(_RELATIVE % store)

    # Bazel refuses a --sandbox_writable_path that is not there.
    repository_ctx.execute(["mkdir", "-p", "-m", "700", store])
    remote = repository_ctx.attr.remote or repository_ctx.os.environ.get("PYTRACE_REMOTE", "")
    repository_ctx.file("BUILD.bazel", _BUILD.format(
        instance_name = repr(repository_ctx.attr.instance_name),
        options = repr(repository_ctx.attr.options),
        pytrace = repr(pytrace),
        pytrace_exec = repr(pytrace_exec),
        remote = repr(remote),
        remote_only = repr(repository_ctx.attr.remote_only),
        store = repr(store),
        version = repr(asked.stdout.strip()),
        workspace = repr(_workspace(repository_ctx)),
    ))

pytrace_config = repository_rule(
    implementation = _pytrace_config_impl,
    doc = "Finds `pytrace-exec` on this machine and makes a toolchain of it.",
    attrs = {
        "checkout": attr.string(
            doc = "A checkout of the project whose `.venv` has `pytrace-exec`.",
        ),
        "instance_name": attr.string(
            doc = "Instance of the remote.",
        ),
        "options": attr.string_list(
            doc = "More options of `pytrace-exec`, given to every action.",
        ),
        "pytrace_exec": attr.string(
            doc = "Absolute path of `pytrace-exec`; default: `PYTRACE_EXEC`, `checkout`, then `PATH`.",
        ),
        "remote": attr.string(
            doc = "A REAPI cache behind the store, as `pytrace-exec --remote` takes it; default: `PYTRACE_REMOTE`.",
        ),
        "remote_only": attr.bool(
            doc = "Keep results in the remote only, where the sandbox may not write the store.",
        ),
        "store": attr.string(
            doc = "Folder of the store; default: `PYTRACE_DIR`, else where `pytrace-exec` has it. " +
                  "Bazel's sandbox needs `--sandbox_writable_path` for it.",
        ),
    },
    configure = True,
    environ = ["HOME", "PATH", "PYTRACE_DIR", "PYTRACE_EXEC", "PYTRACE_REMOTE", "XDG_CACHE_HOME"],
    local = True,
)

def pytrace_repositories(**kwargs):
    """Makes `@pytrace_config`, which holds the toolchain of all traced rules. To be called in WORKSPACE.

    Args:
      **kwargs: attributes of `pytrace_config`: `pytrace_exec`, `checkout`, `store`, `remote`, `remote_only`,
        `instance_name`, `options`.
    """
    pytrace_config(name = "pytrace_config", **kwargs)
