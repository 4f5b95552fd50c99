#!/bin/sh
# Starts a stand-in Viz One, listens to its changes, lets a Worker tag each asset, and shows the
# result. Needs the commands on PATH; takes some seconds; ends with status 1 if a tag is missing.
set -eu
cd "$(dirname "$0")/.."

changes=40
EVENTS=$(mktemp)
trap 'rm -f "$EVENTS"' EXIT
export EVENTS

# flow-sim sets VIZONE_URL, VIZONE_USER and VIZONE_PASSWORD for the command that it runs.
sim="flow-sim --assets $changes --rate 20 --seed 1"
pipeline="flow-listen-assets --count $changes | tee \"\$EVENTS\" | flow-work examples.tag:Tag -j 4"
look='python3 -m examples.show_tags "$EVENTS"'
echo "\$ $sim -- bash -c '$pipeline; $look'"
$sim -- bash -euo pipefail -c "$pipeline; $look"
