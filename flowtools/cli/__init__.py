"""What every command is built on: its class in `command`, which also decides how it ends.

`options` are shared by several commands, `pool_options` by flow-work and flow-run; `completion`
is loaded while a shell completes a line, and never else.
"""
