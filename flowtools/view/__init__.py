"""Events for people: what flow-view shows, and how.

One thread does all: `viewer` waits for input, keys and the clock, hands each line to
`columns` to be made a Row, and shows each Row by `printer` (a line an event) or `live` (a
table on a terminal: `screen` draws it from `history` and `rates`, `keys` move in it). `assembly`
chooses which, by the `settings`.
"""
