"""flow-view: shows events to people.

One thread does everything. `viewer` waits for input, keys and the clock, and `columns` makes a Row
of each line. `printer` (a line for each event) or `live` (a table on a terminal) shows the rows.
For the table, `history` keeps the rows, `rates` counts them, `screen` draws both, and `keys` reads
the keyboard. `assembly` chooses the display by the `settings`.
"""
