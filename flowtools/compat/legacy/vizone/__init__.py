"""The package of python-one by its own name: what is known of it leads to flowtools.compat."""

from flowtools.compat.oldmodules import fill, install

install()
fill(__name__, globals())
