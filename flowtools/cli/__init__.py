"""The base of every command: its class, the shared options, and completion in the shell.

`command` has the class of all commands, and decides how they end. `binding` connects options with
the settings classes that hold their defaults. `options` are shared by several commands,
`pool_options` by flow-work and flow-run, `listener_options` by single listeners and flow-run.
`completion` is loaded only while a shell completes a line.
"""
