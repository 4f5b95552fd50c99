"""`python -m flow PROFILE`, as the older Flow was started; runs flow-run."""

import runpy

runpy.run_module("flowtools.commands.run", run_name="__main__", alter_sys=True)
