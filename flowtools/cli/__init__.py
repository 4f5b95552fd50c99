"""What every command is built on: its class in `command`, which also decides how it ends.

`options` are shared by several commands, `pool_options` by flow-work and flow-run,
`listener_options` by a listener and flow-run; `binding` gives an option the default of a field.
`completion` is loaded only while a shell completes a line.
"""
