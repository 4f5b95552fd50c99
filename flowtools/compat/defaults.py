"""The older Flow's defaults for the sections of a profile, as `configure(config)` finds them.

They only let old classes read the values that they always found. They do not decide what a
command does: its own defaults are in the settings of each part.
"""

from configparser import ConfigParser

DEFAULTS: dict[str, dict[str, str]] = {
    "Flow": {"app name": "default", "workers": "1", "worker_timeout": "60"},
    "Source": {},
    "Logging": {
        "level": "info",
        "color": "yes",
        "logger": "flow",
        "formal": "no",
        "file name": "/tmp/log.txt",  # noqa: S108  the old value; nothing is written there
    },
    "Viz One": {
        "enabled": "yes",
        "hostname": "localhost",
        "username": "user",
        "password": "user",
        "use https": "yes",
        "check certificates": "yes",
        "pem file": "",
        "time out": "60",
    },
    "Stomp": {"heartbeats": "yes", "heartbeat interval": "5", "heartbeat timeout": "10"},
}
"""Default values of the sections that belong to the framework, by section and key."""


def add_defaults(config: ConfigParser) -> None:
    """Add the defaults to `config` for keys that it does not have."""
    for section, keys in DEFAULTS.items():
        if not config.has_section(section):
            config.add_section(section)
        for key, said in keys.items():
            if not config.has_option(section, key):
                config.set(section, key, said)
