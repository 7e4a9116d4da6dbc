# packages.sh: install_packages, for scripts that set a fresh Debian machine up by themselves: tools/quickstart and tests/run source it.
# As root it installs what is missing; as anybody else it says what to install and ends the script.

# What configuring and building Spate needs, and nothing else.
PACKAGES_BUILD=(build-essential cmake ninja-build pkg-config libnuma-dev libhwloc-dev liblz4-dev liburing-dev libcmocka-dev
    libjansson-dev libinih-dev libsystemd-dev libxxhash-dev)

# install_packages <log file> <package...>
install_packages() {
    local log=$1 missing=() package
    shift
    if ! command -v dpkg-query >/dev/null; then
        printf 'not a Debian system: install the equivalents of: %s\n' "$*"
        return
    fi
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        printf 'packages are missing; as root: apt-get install %s\n' "${missing[*]}"
        exit 1
    fi
    printf 'installing %s\n' "${missing[*]}"
    if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"; } \
        >"$log" 2>&1 </dev/null; then
        printf 'cannot install them; %s ends:\n' "$log"
        tail -n 20 "$log"
        exit 1
    fi
}
