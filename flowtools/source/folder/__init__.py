"""Hot folders: what flow-watch and HotFolder are made of.

Begin with `rules` (what was asked for) and `watcher` (how it all works together).

A `lookout` decides when to look, at a notice of `inotify`, a change of the `mounts`, or after a
pause. The `tree` of folders looks, and tells `files` what is there: that decides what has become
of each file, with its `mark` and the `writers` that have it open. `wanted` has the patterns,
`description` makes events, and `space` warns when the disk fills up. `amounts` reads settings.
"""
