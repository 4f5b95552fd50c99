"""Completion of command lines in bash, zsh and fish, on top of click's.

`_FLOW_WORK_COMPLETE=bash_source flow-work` prints a script that completes all commands; zsh_source
and fish_source do so for the other shells, and any command will do. Click's own script would
complete only the command that printed it.

When the user presses the key, that script runs the command once more, with the line typed so far
in the environment, and the command prints the completions. Modules of the user are parsed and
never imported, because pressing a key must not run their code.
"""

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    split_arg_string,
)

MAX_MODULES = 300
"""Maximum number of modules that are parsed for one completion."""

MAX_SOURCE = 1_000_000
"""Maximum size of a module that is parsed, in bytes."""

# bash breaks COMP_WORDS at colons, so the script passes COMP_LINE. For the same reason bash
# replaces only the text after the last colon, and the part before it has to be
# removed from the answers.
_BASH = """\
_flowtools_completion() {
    local IFS=$'\\n' name=${1##*/} line=${COMP_LINE:0:COMP_POINT} response completion type value
    local variable=${name^^}
    variable=_${variable//-/_}_COMPLETE
    response=$(env COMP_WORDS="$line" "$variable=bash_complete" "$1" 2>/dev/null)
    COMPREPLY=()
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done
    local word=${line##*[[:space:]]}
    if [[ $word == *:* && $COMP_WORDBREAKS == *:* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*:}"}"}")
    fi
}
complete -o nosort -F _flowtools_completion NAMES
"""

_ZSH = """\
#compdef NAMES

_flowtools_completion() {
    local -a completions described response
    local type key descr name=${words[1]:t}
    local variable=_${${(U)name}//-/_}_COMPLETE
    response=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \\
        $variable=zsh_complete ${words[1]} 2>/dev/null)}")
    for type key descr in ${response}; do
        case $type in
            plain)
                if [[ $descr == _ ]]; then completions+=("$key")
                else described+=("$key:$descr"); fi ;;
            dir) _path_files -/ ;;
            file) _path_files -f ;;
        esac
    done
    [[ -n $described ]] && _describe -V unsorted described -U
    [[ -n $completions ]] && compadd -U -V unsorted -a completions
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _flowtools_completion "$@"
else
    compdef _flowtools_completion NAMES
fi
"""

_FISH = """\
function _flowtools_completion
    set -l variable _(string upper (string replace --all -- - _ $argv[1]))_COMPLETE
    set -l response (env $variable=fish_complete COMP_WORDS=(commandline -cp | string collect) \\
        COMP_CWORD=(commandline -t | string collect) $argv[1] 2>/dev/null)
    for completion in $response
        set -l parts (string split --max 1 , -- $completion)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case plain
                echo $parts[2]
        end
    end
end
for name in NAMES
    complete --no-files --command $name --arguments "(_flowtools_completion $name)"
end
"""


def _names() -> str:
    here = Path(__file__).parents[1] / "commands"
    modules = sorted(path.stem for path in here.glob("[!_]*.py"))
    return " ".join(f"flow-{module.replace('_', '-')}" for module in modules)


class _Bash(BashComplete):
    def source(self) -> str:
        """Return the script for all commands."""
        return _BASH.replace("NAMES", _names())

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor, and the one that is being typed."""
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)[1:]
        if line[-1:].isspace() or not words:
            return words, ""
        return words[:-1], words[-1]


class _Zsh(ZshComplete):
    def source(self) -> str:
        """Return the script for all commands."""
        return _ZSH.replace("NAMES", _names())


class _Fish(FishComplete):
    def source(self) -> str:
        """Return the script for all commands."""
        return _FISH.replace("NAMES", _names())


def register() -> None:
    """Register these scripts with click, in place of its own."""
    add_completion_class(_Bash)
    add_completion_class(_Zsh)
    add_completion_class(_Fish)


def workers(ctx: click.Context, param: click.Parameter, typed: str) -> "list[CompletionItem[Any]]":
    """Return the MODULE:CLASS of the Workers in the current directory that begin with `typed`."""
    return _items(typed, "start")


def classes(ctx: click.Context, param: click.Parameter, typed: str) -> "list[CompletionItem[Any]]":
    """Return the MODULE:CLASS of all classes in the current directory that begin with `typed`."""
    return _items(typed, None)


def targets(ctx: click.Context, param: click.Parameter, typed: str) -> "list[CompletionItem[Any]]":
    """Return the same as `classes`, and let the shell add file names."""
    return [*_items(typed, None), CompletionItem(typed, type="file")]


def _items(typed: str, method: str | None) -> "list[CompletionItem[Any]]":
    module_part = typed.partition(":")[0]
    found = []
    for number, (module, path) in enumerate(_modules(Path(), "", module_part)):
        if number >= MAX_MODULES:
            break
        if module.startswith(module_part):
            found += [f"{module}:{name}" for name in _classes(path, method)]
    return [CompletionItem(name) for name in sorted(found) if name.startswith(typed)]


def _modules(folder: Path, package: str, typed: str) -> Iterator[tuple[str, Path]]:
    """Yield the name and file of each module that may begin with `typed`.

    Packages come last, so that MAX_MODULES does not cut off the modules beside them.
    """
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    inner = []
    for path in entries:
        name = path.name.removesuffix(".py")
        if not name.isidentifier() or name == "__init__":
            continue
        module = f"{package}{name}"
        # Either this name is being typed, or the typed text goes on inside this package.
        if not (module.startswith(typed) or typed.startswith(f"{module}.")):
            continue
        if path.suffix == ".py":
            yield module, path
        elif path.is_dir() and (path / "__init__.py").is_file():
            inner.append((module, path))
    for module, path in inner:
        yield module, path / "__init__.py"
        yield from _modules(path, f"{module}.", typed)


def _classes(path: Path, method: str | None) -> Iterator[str]:
    """Yield the public classes in the file `path`; with `method` only those that have it."""
    try:
        if path.stat().st_size > MAX_SOURCE:
            return
        tree = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        # ast.parse raises the last two for code that is nested too deep, ValueError for a NUL.
        return
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            # A base class may define the method: that cannot be seen without an import.
            if method is None or method in methods or node.bases:
                yield node.name
