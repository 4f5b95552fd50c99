"""The package `flow` of the older Flow; its modules are made from flowtools.compat."""

from flowtools.compat.oldmodules import fill, install

install()
fill(__name__, globals())
