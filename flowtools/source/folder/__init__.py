"""Hot folders: what flow-watch and HotFolder are made of.

Begin with `rules` (what was asked for) and `watcher` (how it all works together).

A `lookout` decides when to look: at a notice of `inotify`, a change of the `mounts`, or after a
pause. The `tree` of folders looks, and tells `files` what is there: that decides what has become
of each file, by its `mark` and the `writers` that have it open. `wanted` has the patterns.

A `report` is what one event says: of a file, of one with its `sidecars`, which `checksums`
compares, or of many as `units`. `description` makes an event of it, with `names` as text. It is
`writing` that writes it; the `state` file remembers it. With acknowledgement `delivery` holds it
until it is done, and `clearing` leaves, moves or removes its files, by `moving`.

`space` warns when the disk fills up; `amounts` reads settings.
"""
