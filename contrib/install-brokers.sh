#!/bin/sh
# Install the brokers that `make test-brokers` runs. For Debian 12; run as root. If all brokers are
# installed already, this is quick and needs no network.
#
# RabbitMQ 3.10 and ActiveMQ 5.17 come from Debian 12. Newer brokers are kept in FLOWTOOLS_BROKERS
# (default /var/cache/flowtools-brokers): RabbitMQ from Debian sid in a chroot, ActiveMQ 6 and
# Artemis from Maven Central. BROKERS names the brokers to install (tests/brokers/servers.py); the
# default is all. The tests start their own brokers, so the services of the packages are stopped.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${FLOWTOOLS_BROKERS:-/var/cache/flowtools-brokers}
copying=org.apache.maven.plugins:maven-dependency-plugin:3.6.1

wanted() {
    [ -z "${BROKERS:-}" ] && return
    for name in $(echo "$BROKERS" | tr ',' ' '); do
        case $name in "$1" | "$1"-*) return ;; esac
    done
    return 1
}

has_rabbitmq4() { [ -e "$cache/rabbitmq/installed" ]; }
has_activemq6() { [ -e "$cache/activemq/installed" ]; }
has_artemis() { [ -e "$cache/artemis/installed" ]; }

java_wanted() { wanted activemq || wanted activemq6 || wanted artemis; }
maven_wanted() {
    { wanted activemq6 && ! has_activemq6; } || { wanted artemis && ! has_artemis; }
}

missing() {
    ! wanted rabbitmq || [ -d /usr/lib/rabbitmq/lib ] || echo rabbitmq-server
    ! wanted activemq || [ -e /usr/share/activemq/bin/activemq.jar ] || echo activemq
    ! java_wanted || { command -v java && command -v keytool; } >/dev/null || echo default-jre-headless
    ! maven_wanted || command -v mvn >/dev/null || echo maven
    ! wanted rabbitmq4 || has_rabbitmq4 || command -v debootstrap >/dev/null || echo debootstrap
    command -v openssl >/dev/null || echo openssl
    command -v setpriv >/dev/null || echo util-linux
    command -v ip >/dev/null || echo iproute2  # The tests make networks of their own.
}

incomplete() {
    [ -n "$(missing)" ] || maven_wanted || { wanted rabbitmq4 && ! has_rabbitmq4; }
}

fail() {
    echo "install-brokers: $2" >&2
    exit "$1"
}

# Installs Debian sid with RabbitMQ in $cache/rabbitmq, from the mirror that apt uses here.
install_rabbitmq4() {
    root=$cache/rabbitmq
    mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' |
        awk '$1 ~ /\/debian\/?$/ { print $1; exit }')
    [ -n "$mirror" ] || fail 69 "apt knows no mirror of Debian, from which to take RabbitMQ 4"
    [ ! -e "$root" ] || rm -r --one-file-system "$root"
    debootstrap --variant=minbase --include=ca-certificates sid "$root" "$mirror" >/dev/null
    # policy-rc.d with status 101 keeps packages from starting their services in the chroot.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    printf '127.0.0.1 localhost\n' >"$root/etc/hosts"
    # In a mount namespace of its own, so that no mount stays behind, whatever happens.
    unshare --mount --propagation private sh -euc '
        mount --rbind /proc "$0/proc"
        mount --rbind /dev "$0/dev"
        chroot "$0" apt-get install -q -y --no-install-recommends rabbitmq-server procps
    ' "$root" >/dev/null
    touch "$root/installed"
}

install_activemq6() {
    mkdir -p "$cache/activemq"
    mvn -B -ntp -q -f "$here/brokers/activemq.xml" "$copying:copy-dependencies" \
        -DincludeScope=runtime -DoutputDirectory="$cache/activemq/lib"
    touch "$cache/activemq/installed"
}

# Newer releases may have the group org.apache.artemis; older ones have org.apache.activemq.
install_artemis() {
    archive=$cache/artemis-archive
    rm -rf "$archive" "$cache/artemis"
    for group in org.apache.artemis org.apache.activemq; do
        mvn -B -ntp -q "$copying:copy" "-Dartifact=$group:apache-artemis:LATEST:tar.gz:bin" \
            "-DoutputDirectory=$archive" >"$cache/artemis.log" 2>&1 && break
    done
    [ -n "$(ls "$archive" 2>/dev/null)" ] || {
        cat "$cache/artemis.log" >&2
        fail 69 "cannot fetch Artemis"
    }
    mkdir -p "$cache/artemis"
    tar -xzf "$archive"/*.tar.gz -C "$cache/artemis" --strip-components 1
    rm -r "$archive"
    touch "$cache/artemis/installed"
}

incomplete || exit 0
packages=$(missing)
[ "$(id -u)" -eq 0 ] || fail 77 "cannot install the brokers: run this as root"
command -v apt-get >/dev/null || fail 69 "cannot install the brokers: no apt-get; is this Debian?"

export DEBIAN_FRONTEND=noninteractive
if [ -n "$packages" ]; then
    apt-get update -q
    # Unquoted, so that each package is a word of its own.
    apt-get install -q -y --no-install-recommends $packages
    for service in rabbitmq-server activemq; do
        if [ -d /run/systemd/system ]; then
            systemctl disable --now "$service" 2>/dev/null || :
        elif [ -x "/etc/init.d/$service" ]; then
            "/etc/init.d/$service" stop >/dev/null 2>&1 || :
        fi
    done
fi

mkdir -p "$cache"
for broker in rabbitmq4 activemq6 artemis; do
    if wanted "$broker" && ! "has_$broker"; then
        echo "install-brokers: fetching $broker" >&2
        "install_$broker"
    fi
done
! incomplete || fail 70 "still missing after the installation: $(missing)"
