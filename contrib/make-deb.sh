#!/bin/sh
# Builds a Debian package: contrib/make-deb.sh PYTHON FOLDER
#
# PYTHON must be the distribution's Python. The package contains the dependencies, built for that
# version of Python, and works with no other version.
set -eu
umask 022
cd "$(dirname "$0")/.."

python=$1
folder=$2
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' flowtools/__init__.py)
minor=$("$python" -c 'import sys; print("%d.%d %d.%d" % (*sys.version_info[:2], sys.version_info[0], sys.version_info[1] + 1))')
architecture=$(dpkg --print-architecture)
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}"
export SOURCE_DATE_EPOCH

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
sh contrib/install.sh "$python" /usr "$root"
# The list for contrib/uninstall.sh: the package manager keeps its own list.
rm -f "$root/usr/lib/flowtools/installed"
mkdir -p "$root/usr/lib/systemd/system"
for unit in contrib/systemd/*.service contrib/systemd/*.socket contrib/systemd/*.timer; do
    [ -f "$unit" ] && install -m 644 "$unit" "$root/usr/lib/systemd/system/"
done
find "$root/usr/share/man" -name '*.[1-8]' -exec gzip -9n {} +
find "$root/usr/share/doc" -name '*.md' -exec sed -i -E 's,(\]\([./]*man/man[1-8]/[^)#]+),\1.gz,g' {} +
# Compiled files contain the time of their sources, so postinst makes them on the target machine.
find "$root" -name __pycache__ -prune -exec rm -rf {} +
# Some libraries contain their tests, and modules that are marked as programs; lintian objects.
lib=$root/usr/lib/flowtools
rm -rf "$lib"/*/tests
find "$lib" -name '*.py' -exec chmod 644 {} +
find "$lib" -name '*.py' -exec sed -i '1{/^#!/d}' {} +

doc=$root/usr/share/doc/flowtools
"$python" contrib/debian/copyright.py "$lib" "$version" >"$doc/copyright"
released=$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
maintainer="The flowtools authors <flowtools@packages.invalid>"
printf 'flowtools (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md beside this file.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$released" | gzip -9n >"$doc/changelog.gz"
install -D -m 644 contrib/debian/lintian-overrides "$root/usr/share/lintian/overrides/flowtools"

mkdir "$root/DEBIAN"
size=$(du -sk --exclude=DEBIAN "$root" | cut -f1)
cat >"$root/DEBIAN/control" <<END
Package: flowtools
Version: $version
Architecture: $architecture
Maintainer: $maintainer
Installed-Size: $size
Depends: libc6, python3 (>= ${minor% *}), python3 (<< ${minor#* }~)
Suggests: bash-completion, jq, rabbitmq-server
Section: video
Priority: optional
Description: commands that connect Viz One and STOMP brokers to your own code
 A source prints one line of JSON for each event. flow-work runs a Python class
 on each line, in a pool of threads with time-outs. The shell's pipes connect
 them. With --ack worker, events that were not processed are delivered again.
END
cat >"$root/DEBIAN/postinst" <<'END'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    python3 -m compileall -q /usr/lib/flowtools || :
fi
END
cat >"$root/DEBIAN/prerm" <<'END'
#!/bin/sh
set -e
find /usr/lib/flowtools -name __pycache__ -prune -exec rm -rf {} +
END
chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
chmod -R u+rwX,go+rX,go-w "$root"
mkdir -p "$folder"
dpkg-deb --root-owner-group --build "$root" "$folder/flowtools_${version}_$architecture.deb" >/dev/null
echo "$folder/flowtools_${version}_$architecture.deb"
