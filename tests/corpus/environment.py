# SPDX-License-Identifier: Apache-2.0
"""Programs that depend on variables, and on whom and where they are run."""

from __future__ import annotations

from tests.corpus.case import Case, python

CASES = (
    Case(
        "a variable",
        python("print(os.environ.get('FLAVOUR'))"),
        around={"variables": {"FLAVOUR": "sweet", "SHLVL": "1", "OLDPWD": "/", "_": "x"}},
        facts="",
        never="variable/SHLVL\nvariable/OLDPWD\nvariable/USER\nvariable/_",
        misses=(
            {"variables": {"FLAVOUR": "plain", "SHLVL": "1", "OLDPWD": "/", "_": "x"}},
            {"variables": {"FLAVOUR": "", "SHLVL": "1", "OLDPWD": "/", "_": "x"}},
            {"variables": {"SHLVL": "1", "OLDPWD": "/", "_": "x"}},
        ),
        hits=({"variables": {"FLAVOUR": "sweet", "SHLVL": "2", "OLDPWD": "/tmp", "USER": "other"}},),
        covers="A69",
    ),
    Case(
        "a variable that a child reads",
        ("sh", "-c", "sh -c 'echo $FLAVOUR'"),
        around={"variables": {"FLAVOUR": "sweet"}},
        facts="status . : dir 0755",
        misses=({"variables": {"FLAVOUR": "plain"}},),
        covers="A70",
    ),
    Case(
        "a variable that varies without meaning, named by the program",
        python("print(os.environ.get('SHLVL'))"),
        around={"variables": {"SHLVL": "1"}},
        facts="",
        also="variable/SHLVL : = 1",
        misses=({"variables": {"SHLVL": "2"}}, {"variables": {}}),
        hits=({"variables": {"SHLVL": "1", "OLDPWD": "/"}},),
    ),
    Case(
        "a variable that varies without meaning, found in an output",
        python("print(dict(os.environ).popitem()[0] and [os.environ[name] for name in sorted(os.environ)][-1])"),
        around={"variables": {"USER": "zz-somebody", "TZ": None}},
        facts="",
        also="variable/USER : = zz-somebody",
        misses=({"variables": {"USER": "zz-somebody-else", "TZ": None}},),
    ),
    Case(
        "all variables",
        ("printenv",),
        around={"variables": {"SHLVL": "1"}},
        facts="",
        also="variable/SHLVL : = 1",
        misses=({"variables": {"SHLVL": "2"}},),
        covers="A70",
    ),
    Case(
        "only the chosen variables",
        ("true",),
        around={"options": ("--env-only", "--env", "PATH"), "variables": {"FLAVOUR": "sweet"}},
        facts="",
        hits=({"options": ("--env-only", "--env", "PATH"), "variables": {"FLAVOUR": "plain"}},),
        covers="A70",
    ),
    Case(
        "languages and time zones",
        ("date", "-d", "@0"),
        facts="",
        misses=({"variables": {"TZ": "UTC-5"}}, {"variables": {"LC_ALL": "C"}}),
        covers="A62",
    ),
    Case(
        "where libraries are looked for",
        ("true",),
        given="mkdir lib",
        around={"variables": {"LD_LIBRARY_PATH": "lib"}},
        facts=None,
        also="error lib/libc.so.6 : ENOENT",
        misses=("cp \"$(ldd /bin/true | awk '/libc.so/ {print $3}')\" lib/libc.so.6", {"variables": {}}),
        covers="A71",
    ),
    Case(
        "a thousand variables",
        ("true",),
        around={"variables": {f"V{number}": "x" for number in range(1000)}},
        facts="",
        misses=({"variables": {f"V{number}": "x" for number in range(1, 1001)}},),
        covers="A81",
    ),
    Case(
        "a second checkout of a step that does not tell its place",
        ("sort", "in"),
        facts="""
            access/4 in : file granted
            content in : =in
            status in : file 0644 =in
        """,
        relaxed="""
            access/4 in : file granted
            content in : =in
            status in : file 0644 =in
        """,
        misses=("echo two > in",),
        shared=({"place": "second"},),
        covers="A95",
    ),
    Case(
        "a second checkout of a step that tells its place",
        python("print(os.getcwd())"),
        facts="",
        misses=({"place": "second"},),
        covers="A95",
    ),
)
