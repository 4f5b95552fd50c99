"""What a profile says where it says nothing: the old framework's defaults, for `configure`.

They are only what `configure(config)` reads. What a command does by default is said where it
does it; these are the values that classes have always found.
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
        "file name": "/tmp/log.txt",  # noqa: S108  as it was; nothing is written there
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
"""The sections of the framework's own, with the value of each key."""


def add_defaults(config: ConfigParser) -> None:
    """Add what the framework's own sections lack."""
    for section, keys in DEFAULTS.items():
        if not config.has_section(section):
            config.add_section(section)
        for key, said in keys.items():
            if not config.has_option(section, key):
                config.set(section, key, said)
