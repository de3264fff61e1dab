#!/usr/bin/env bash
# Installs the Debian packages that some tests use, where that is possible: as root, with apt. A test whose package is
# not there is skipped, and says so.
#
#   dbus-daemon   a private bus with a stand-in for logind: sleep and shutdown of a machine
#   faketime      clocks that are changed while a worker runs
set -euo pipefail
packages=(dbus-daemon faketime)

missing=()
for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q "install ok installed" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
    echo "not installed (no apt, or not root): ${missing[*]}; the tests that use them are skipped" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get update -q && apt-get install -y -q --no-install-recommends "${missing[@]}"; } >&2; then
    echo "could not be installed: ${missing[*]}; the tests that use them are skipped" >&2
fi
