"""Hot folders: the parts of flow-watch and HotFolder.

Begin with `rules` (what was asked for) and `watcher` (how it all works together).

A `lookout` decides when to look: at a notice of `inotify`, a change of the `mounts`, or after a
pause. The `tree` of folders looks, and passes what it finds to `files`, which decides whether each
file is whole, changed or gone, by its `mark` and the `writers` that have it open. `wanted` has the
patterns.

A `report` holds the content of one event: about a file, a file with its `sidecars` (compared by
`checksums`), or many files as `units`. `description` makes an event of a report, with `names` as
text. `writing` writes the event, and the `state` file remembers it. With acknowledgement,
`delivery` holds the report until its event is done, and `clearing` leaves, moves or removes its
files, by `moving`. What takes minutes, comparing checksums and moving files, runs in the
`background`.

`space` warns when the disk fills up; `amounts` reads settings.
"""
