"""The package of the older Flow by its own name: every module of it leads to flowtools.compat."""

from flowtools.compat.oldmodules import fill, install

install()
fill(__name__, globals())
