#!/bin/sh
# Takes away what contrib/install.sh has put below PREFIX: contrib/uninstall.sh PREFIX [DESTDIR]
set -eu
prefix=$1
destdir=${2:-}
lib=$destdir$prefix/lib/flowtools

[ -f "$lib/installed" ] || exit 0
while read -r file; do
    rm -f "$destdir$file"
done <"$lib/installed"
# The folders that are empty now, and no others; PREFIX itself stays.
while read -r file; do
    dirname "$file"
done <"$lib/installed" | sort -ru | while read -r folder; do
    while [ "$folder" != "$prefix" ] && rmdir "$destdir$folder" 2>/dev/null; do
        folder=$(dirname "$folder")
    done
done
rm -rf "$lib"
rmdir "$destdir$prefix/lib" 2>/dev/null || :
