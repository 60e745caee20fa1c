# SPDX-License-Identifier: Apache-2.0
"""Completing `pytrace-exec` from its own table of options: flags, their values, and then the command it is to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_exec.option_table import OPTIONS, Option
from pytrace_exec.option_values import Choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FLAGS = tuple(option for option in OPTIONS if "flag" in option.scope)

# Options whose value is the name of a variable.
_VARIABLES = ("env", "redact")

_BASH = """\
_pytrace_exec() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} at=1
    COMPREPLY=()
    # Bash makes a word of its own of the sign in --name=value.
    if [[ $word == "=" ]]; then word=; elif [[ $before == "=" ]]; then before=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    while (( at < COMP_CWORD )); do
        case ${{COMP_WORDS[at]}} in
            --) (( at++ )); break ;;
            {valued}) if [[ ${{COMP_WORDS[at+1]}} == "=" ]]; then (( at += 3 )); else (( at += 2 )); fi ;;
            -*) (( at++ )) ;;
            *) break ;;
        esac
    done
    if (( at > COMP_CWORD )); then
        case $before in
{values}
        esac
    elif (( at < COMP_CWORD )); then
        if declare -F _command_offset >/dev/null; then _command_offset $at
        else mapfile -t COMPREPLY < <(compgen -f -- "$word"); fi
    elif [[ $word == -* && ${{COMP_WORDS[at-1]}} != -- ]]; then
        mapfile -t COMPREPLY < <(compgen -W '{flags}' -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -c -- "$word")
    fi
}}
complete -o filenames -F _pytrace_exec pytrace-exec
"""
_ZSH = """\
_pytrace_exec() {{
    _arguments -S -s : \\
{specs}
        '*:: :_normal'
}}
compdef _pytrace_exec pytrace-exec
"""
_FISH = """\
function __pytrace_exec_before_command
    set -l words (commandline -opc)
    set -l value 0
    for word in $words[2..]
        if test $value = 1
            set value 0
            continue
        end
        switch $word
            case --
                return 1
            case {valued}
                set value 1
            case '-*'
            case '*'
                return 1
        end
    end
end
{lines}
complete -c pytrace-exec -x -a '(__fish_complete_subcommand -- {valued})'
"""


def bash() -> str:
    """For bash 4 and later."""
    cases = ((option, "|".join(_names(option))) for option in _FLAGS if option.metavar)
    values = "\n".join(f"            {names}) {_bash_value(option)} ;;" for option, names in cases)
    flags = " ".join(name for option in _FLAGS for name in _names(option))
    return _BASH.format(valued="|".join(_valued()), values=values, flags=flags)


def zsh() -> str:
    """For zsh with compsys."""
    return _ZSH.format(specs="\n".join(f"        {spec} \\" for option in _FLAGS for spec in _zsh_specs(option)))


def fish() -> str:
    """For fish."""
    lines = "\n".join(line for option in _FLAGS for line in _fish_lines(option))
    return _FISH.format(lines=lines, valued=" ".join(_valued()))


SCRIPTS: dict[str, Callable[[], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _valued() -> Iterator[str]:
    """The flags that take a value."""
    return (name for option in _FLAGS if option.metavar for name in _names(option))


def _names(option: Option) -> Iterator[str]:
    """The flag in all its forms."""
    yield f"--{option.name}"
    if option.short:
        yield f"-{option.short}"
    if not option.metavar and "file" in option.scope:
        yield f"--no-{option.name}"


def _bash_value(option: Option) -> str:
    if isinstance(option.read, Choice):
        words = f"-W '{' '.join(option.read.allowed)}'"
    else:
        words = {"DIR": "-d", "FILE": "-f", "PATH": "-f", "GLOB": "-f"}.get(option.metavar, "-W ''")
    if option.name in _VARIABLES:
        words = "-e"
    return f'mapfile -t COMPREPLY < <(compgen {words} -- "$word")'


def _zsh_specs(option: Option) -> Iterator[str]:
    told = option.help.replace("'", "").replace("[", "(").replace("]", ")").replace(":", " ")
    repeated = "*" if option.many else ""
    for name in _names(option):
        if not option.metavar:
            yield f"'{name}[{told}]'"
        else:
            joined = f"{name}=" if name.startswith("--") else f"{name}+"
            yield f"'{repeated}{joined}[{told}]:{option.metavar}:{_zsh_value(option)}'"


def _zsh_value(option: Option) -> str:
    if isinstance(option.read, Choice):
        return f"({' '.join(option.read.allowed)})"
    if option.name in _VARIABLES:
        return '_parameters -g "*export*"'
    return {"DIR": "_files -/", "FILE": "_files", "PATH": "_files", "GLOB": "_files"}.get(option.metavar, " ")


def _fish_lines(option: Option) -> Iterator[str]:
    told = option.help.replace("\\", "").replace("'", "")
    form = f"-l {option.name}" + (f" -s {option.short}" if option.short else "")
    if option.metavar:
        form += _fish_value(option)
    yield f"complete -c pytrace-exec -n '__pytrace_exec_before_command' {form} -d '{told}'"
    if not option.metavar and "file" in option.scope:
        yield f"complete -c pytrace-exec -n '__pytrace_exec_before_command' -l no-{option.name} -d 'not: {told}'"


def _fish_value(option: Option) -> str:
    if isinstance(option.read, Choice):
        return f" -x -a '{' '.join(option.read.allowed)}'"
    if option.metavar == "DIR":
        return " -x -a '(__fish_complete_directories)'"
    if option.name in _VARIABLES:
        return " -x -a '(set -nx)'"
    return " -r" if option.metavar in ("FILE", "PATH", "GLOB") else " -x"
