#!/bin/sh
# Installs commands, manual pages and completion in PREFIX: contrib/install.sh PYTHON PREFIX [DESTDIR]
#
# PYTHON is the interpreter that will run the commands. flowtools and its dependencies are installed
# in PREFIX/lib/flowtools, so that no other Python program sees them. All files elsewhere are listed
# in PREFIX/lib/flowtools/installed, which contrib/uninstall.sh reads.
set -eu
umask 022
cd "$(dirname "$0")/.."

python=$1
prefix=$2
destdir=${3:-}
case $prefix in /*) ;; *) echo "install: PREFIX must begin with /, not '$prefix'" >&2; exit 2 ;; esac
python=$("$python" -c 'import sys; print(sys._base_executable if sys.prefix != sys.base_prefix else sys.executable)')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "install: Python 3.11 or newer is needed, and '$python' is not" >&2
    exit 1
}

# A service runs as its own user, who must be able to reach the interpreter.
folder=$python
while folder=$(dirname "$folder") && [ "$folder" != / ]; do
    case $(stat -Lc %A "$folder") in
        *[xt]) ;;
        *) echo "install: warning: other users cannot run '$python', which is below '$folder';" \
            "see make install PYTHON=..." >&2 ;;
    esac
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lib=$prefix/lib/flowtools
[ -d "$destdir$lib" ] && [ ! -f "$destdir$lib/installed" ] && {
    echo "install: '$destdir$lib' exists and was not made by this script; remove it first" >&2
    exit 1
}
sh contrib/uninstall.sh "$prefix" "$destdir"
list=$destdir$lib/installed
mkdir -p "$destdir$lib"
: >"$list"

put() { # MODE SOURCE TARGET
    mkdir -p "$destdir$(dirname "$3")"
    install -m "$1" "$2" "$destdir$3"
    echo "$3" >>"$list"
}

# The pip of this environment can install for any interpreter; many interpreters have no pip.
python3 -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --wheel-dir "$work" .
python3 -m pip --python "$python" install --quiet --disable-pip-version-check \
    --root-user-action=ignore --no-compile --upgrade --target "$destdir$lib" \
    "$(echo "$work"/*.whl)[sim]"
rm -rf "$destdir$lib/bin" "$destdir$lib/share"
# The temporary path of the wheel differs in each run, and would make the package irreproducible.
rm -f "$destdir$lib"/flowtools-*.dist-info/direct_url.json
sed -i '/direct_url\.json,/d; /^\.\.\//d' "$destdir$lib"/flowtools-*.dist-info/RECORD
"$python" -m compileall -q ${destdir:+-s "$destdir" -p /} "$destdir$lib"

for module in flowtools/commands/[!_]*.py; do
    module=$(basename "$module" .py)
    name=flow-$(echo "$module" | tr _ -)
    cat >"$work/$name" <<END
#!$python
import sys

# In place of the folder of this script, so that no other copy of flowtools is found first.
sys.path[0] = "$lib"
from flowtools.commands.$module import main

main()
END
    put 755 "$work/$name" "$prefix/bin/$name"
done
for page in man/*.[1-8]; do
    put 644 "$page" "$prefix/share/man/man${page##*.}/$(basename "$page")"
done

script() { _FLOW_ACK_COMPLETE=$1_source "$python" -c '
import sys
sys.path[:0] = [sys.argv.pop()]
from flowtools.commands.ack import main
main()' "$destdir$lib"; }
script bash >"$work/bash"
script zsh >"$work/zsh"
script fish >"$work/fish"
put 644 "$work/zsh" "$prefix/share/zsh/site-functions/_flowtools"
for name in "$work"/flow-*; do
    name=$(basename "$name")
    put 644 "$work/bash" "$prefix/share/bash-completion/completions/$name"
    put 644 "$work/fish" "$prefix/share/fish/vendor_completions.d/$name.fish"
done
for file in README.md CHANGELOG.md CONTRIBUTING.md SECURITY.md LICENSE benchmarks/README.md \
    benchmarks/*.svg docs/*.md docs/pictures/*.svg docs/schemas/*.json; do
    # Links to manual pages and modules must lead to their places in PREFIX. The tests are not
    # installed, so links to them become plain text.
    sed -E "s,\[([^]]*)\]\((\.\./)*tests/[^)]*\),\1,g
        s,\]\(((\.\./)*)man/([^)#]+\.)([1-8])([)#]),](\1../../man/man\4/\3\4\5,g
        s,\]\(((\.\./)*)flowtools/,](\1../../../lib/flowtools/flowtools/,g" "$file" >"$work/page"
    put 644 "$work/page" "$prefix/share/doc/flowtools/$file"
done
# Scripts that build, test and install flowtools are of no use outside a checkout.
find contrib examples -type f ! -name '*.pyc' ! -path 'contrib/*.sh' ! -path 'contrib/brokers/*' \
    ! -path 'contrib/debian/*' | sort | while read -r file; do
    put 644 "$file" "$prefix/share/doc/flowtools/$file"
done
