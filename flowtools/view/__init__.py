"""flow-view: show events to people.

One thread does everything. `viewer` waits for input, keys and the clock, and lets `columns` make a
Row of each line. Rows are shown by `printer` (a line for each event) or by `live` (a table on a
terminal: `screen` draws it from `history` and `rates`, and `keys` reads the keyboard). `assembly`
chooses the display by the `settings`.
"""
