#!/bin/sh
# Removes everything that contrib/install.sh has installed: contrib/uninstall.sh PREFIX [DESTDIR]
set -eu
prefix=$1
destdir=${2:-}
lib=$destdir$prefix/lib/flowtools

[ -f "$lib/installed" ] || exit 0
while read -r file; do
    rm -f "$destdir$file"
done <"$lib/installed"
# Folders that are empty now are removed, except PREFIX itself.
while read -r file; do
    dirname "$file"
done <"$lib/installed" | sort -ru | while read -r folder; do
    while [ "$folder" != "$prefix" ] && rmdir "$destdir$folder" 2>/dev/null; do
        folder=$(dirname "$folder")
    done
done
rm -rf "$lib"
rmdir "$destdir$prefix/lib" 2>/dev/null || :
