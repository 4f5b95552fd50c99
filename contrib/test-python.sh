#!/bin/sh
# Run the tests with the Python of another Debian: contrib/test-python.sh SUITE
#
# SUITE is trixie (Python 3.13) or sid (the newest Python). For Debian 12; run as root. The Debian is
# built once, in FLOWTOOLS_PYTHONS (default /var/cache/flowtools-pythons). In it `make test` runs on a
# copy of the last commit; the variable TESTS has the same meaning as there.
#
# The tests run in a mount namespace whose root is that Debian (pivot_root). In a plain chroot
# unshare(2) refuses a user namespace, which some tests need.
set -eu
cd "$(dirname "$0")/.."

suite=$1
cache=${FLOWTOOLS_PYTHONS:-/var/cache/flowtools-pythons}
root=$cache/$suite
packages=ca-certificates,curl,fish,git,iproute2,jq,make,mandoc,openssl,procps,python3,python3-venv,rsync,util-linux,zsh

fail() {
    echo "test-python: $2" >&2
    exit "$1"
}

[ "$(id -u)" -eq 0 ] || fail 77 "cannot build a Debian: run this as root"
command -v apt-get >/dev/null || fail 69 "cannot build a Debian: no apt-get; is this Debian?"
command -v debootstrap >/dev/null ||
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends debootstrap >/dev/null

if [ ! -e "$root/built" ]; then
    echo "test-python: building Debian $suite in $root" >&2
    mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' |
        awk '$1 ~ /\/debian\/?$/ { print $1; exit }')
    [ -n "$mirror" ] || fail 69 "apt knows no mirror of Debian"
    [ ! -e "$root" ] || rm -r --one-file-system "$root"
    mkdir -p "$cache"
    debootstrap --variant=minbase "--include=$packages" "$suite" "$root" "$mirror" \
        >"$cache/$suite.log" 2>&1 || {
        tail -n 5 "$cache/$suite.log" >&2
        fail 69 "cannot build Debian $suite"
    }
    touch "$root/built"
fi

cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
for file in /etc/pip.conf "${PIP_CONFIG_FILE:-}"; do
    [ ! -f "$file" ] || install -D -m 644 "$file" "$root$file"
done
# A mirror of packages may have a certificate of an in-house authority.
cp -r /usr/local/share/ca-certificates "$root/usr/local/share/" 2>/dev/null || :
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"

rm -rf "$root/root/flowtools"
git clone -q --no-hardlinks . "$root/root/flowtools"
TESTS=${TESTS:-tests} exec unshare --mount --pid --fork --kill-child --propagation private sh -euc '
    mount --rbind "$0" "$0"
    cd "$0"
    mkdir -p before
    mount --rbind /dev dev
    mount -t proc proc proc
    mount --rbind /sys sys
    mount -t tmpfs tmpfs tmp
    mount -t tmpfs tmpfs run
    pivot_root . before
    umount -l /before
    cd /root/flowtools
    unset PYENV_VERSION VIRTUAL_ENV PYTHONPATH
    export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
    python3 --version
    exec make test "TESTS=$TESTS"
' "$root"
