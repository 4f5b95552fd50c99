#!/bin/sh
# Install the brokers that `make test-brokers` runs: RabbitMQ, and ActiveMQ with a JRE.
# For Debian 12; run as root. Quick, and without the network, when all is there.
# The tests start brokers of their own: the services that the packages bring are stopped.
set -eu

missing() {
    [ -d /usr/lib/rabbitmq/lib ] || echo rabbitmq-server
    [ -e /usr/share/activemq/bin/activemq.jar ] || echo activemq
    command -v java >/dev/null && command -v keytool >/dev/null || echo default-jre-headless
    command -v openssl >/dev/null || echo openssl
    command -v setpriv >/dev/null || echo util-linux
}

packages=$(missing)
[ -n "$packages" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "install-brokers: cannot install $(echo $packages): run this as root" >&2
    exit 77
fi
command -v apt-get >/dev/null || {
    echo "install-brokers: cannot install $(echo $packages): no apt-get; is this Debian?" >&2
    exit 69
}

export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# Unquoted: one word a package.
apt-get install -q -y --no-install-recommends $packages

for service in rabbitmq-server activemq; do
    if [ -d /run/systemd/system ]; then
        systemctl disable --now "$service" 2>/dev/null || :
    elif [ -x "/etc/init.d/$service" ]; then
        "/etc/init.d/$service" stop >/dev/null 2>&1 || :
    fi
done

packages=$(missing)
[ -z "$packages" ] || {
    echo "install-brokers: still missing after the installation: $(echo $packages)" >&2
    exit 70
}
