#!/bin/sh
# A stand-in Viz One, its changes as events, a Worker that tags each asset, and a look at
# the result. Needs the commands on PATH; takes some seconds; ends with 1 if a tag is missing.
set -eu
cd "$(dirname "$0")/.."

changes=40
EVENTS=$(mktemp)
trap 'rm -f "$EVENTS"' EXIT
export EVENTS

# What runs under flow-sim finds the stand-in by VIZONE_URL and its like.
sim="flow-sim --assets $changes --rate 20 --seed 1"
pipeline="flow-listen-assets --count $changes | tee \"\$EVENTS\" | flow-work examples.tag:Tag -j 4"
look='python3 -m examples.show_tags "$EVENTS"'
echo "\$ $sim -- bash -c '$pipeline; $look'"
$sim -- bash -euo pipefail -c "$pipeline; $look"
