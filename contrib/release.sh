#!/bin/sh
# Build and check a release, and tag it; `make release` runs this. Nothing is uploaded.
#
# The version is taken from flowtools/__init__.py, and CHANGELOG.md must have a dated section for it.
# The results stay in dist/. To publish the release afterwards, push the tag and upload dist/*.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "release: $1" >&2
    exit 1
}

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' flowtools/__init__.py)
tag=v$version
[ -z "$(git status --porcelain)" ] || fail "commit or remove your changes first (git status)"
! git rev-parse -q --verify "refs/tags/$tag" >/dev/null || fail "tag '$tag' exists already; raise the version"
grep -Eq "^## \[?$version\]? - [0-9]{4}-[0-9]{2}-[0-9]{2}\$" CHANGELOG.md ||
    fail "CHANGELOG.md has no section '## $version - YYYY-MM-DD'"

git var GIT_COMMITTER_IDENT >/dev/null 2>&1 ||
    fail "the tag needs your name; give it with 'git config user.name' and 'git config user.email'"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

echo "release: building flowtools $version twice"
rm -rf dist
for folder in dist "$work/again"; do
    python -m build --no-isolation --outdir "$folder" . >"$work/build.log" 2>&1 || {
        cat "$work/build.log" >&2
        fail "cannot build"
    }
done
for file in dist/*; do
    cmp "$file" "$work/again/${file#dist/}" || fail "'$file' is not reproducible"
done

echo "release: checking the metadata"
python -m twine check --strict dist/*

echo "release: installing in an empty environment"
python -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check dist/*.whl
# In another folder: in the checkout Python would import its modules, not the installed ones.
(
    cd "$work"
    printf 'class Say:\n    def start(self, event):\n        yield {"said": event.data}\n' >mymod.py
    PATH=$work/venv/bin:$PATH
    [ "$(flow-work --version)" = "flow-work, version $version" ]
    said=$(printf 'a\nb\n' | flow-stdin | flow-work mymod:Say | grep -c '"said"')
    [ "$said" = 2 ]
) || fail "the installed commands do not work"

git tag -a "$tag" -m "flowtools $version"
echo "release: tagged $tag; nothing was uploaded"
(cd dist && sha256sum ./*)
