# shellcheck shell=bash
# Unpacked root directories of other releases of Debian, for the tests of other C libraries; kept under target/.
# Nothing is configured and nothing is started in them: their programs run by chroot(8). Sourced after common.sh.

# debian_mirror: where this machine's own packages come from.
debian_mirror() {
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null | head -n 1
}

# debian_release SUITE: sets `release_root` to its root directory; fails with a line if it cannot be had.
debian_release() {
    local suite=$1 package mirror
    release_root=$target/fixtures/debian-$suite
    [ ! -e "$release_root/READY" ] || return 0
    [ "$(id -u)" = 0 ] || { warn "debootstrap needs root"; return 1; }
    have apt-get && apt_install debootstrap || return 1
    mirror=$(debian_mirror)
    [ -n "$mirror" ] || { warn "no mirror of Debian is set up on this machine"; return 1; }
    rm -rf "$release_root"
    mkdir -p "$release_root"
    # The first stage alone fetches everything and unpacks half of it; what it leaves is unpacked here.
    debootstrap --foreign --variant=minbase --include=python3 "$suite" "$release_root" "$mirror" >"$release_root.log" 2>&1 || {
        tail -n 3 "$release_root.log" >&2
        return 1
    }
    for package in "$release_root"/var/cache/apt/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -C "$release_root" --keep-directory-symlink -x || return 1
    done
    # Where debootstrap may not mount, it leaves a link, which leads nowhere in a chroot.
    if [ -L "$release_root/proc" ]; then rm "$release_root/proc"; fi
    mkdir -p "$release_root/proc"
    # What configuring would have made of it, as far as the tests look at it.
    cp "$release_root/usr/share/base-passwd/passwd.master" "$release_root/etc/passwd"
    cp "$release_root/usr/share/base-passwd/group.master" "$release_root/etc/group"
    rm -rf "$release_root/var/cache/apt/archives"
    touch "$release_root/READY"
}
