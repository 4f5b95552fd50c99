"""The commands, one file each: it declares options, makes objects of their values and runs them.

What a command imports in `main` and not at the top is not needed for --help, which must be quick.
"""
