#!/bin/sh
# Runs clipflow from a DIR that docker/install.sh made, as a pod runs its image: user 1000, no capabilities, a read-only
# root with an own /tmp. Linux, no container engine: programs and libraries are this machine's. DIR is an absolute path.
set -eu
if [ -z "${CLIPFLOW_UNSHARED:-}" ]; then
  node=$(command -v node)
  export CLIPFLOW_UNSHARED="${node%/*}"
  exec unshare --user --map-user=1000 --map-group=1000 --keep-caps --mount -- "$0" "$@"
fi
dir=${1:?usage: docker/run.sh DIR [ARGUMENT...]}
shift
root=$dir/run
mkdir -p "$root"
mount -t tmpfs tmpfs "$root"

# bind FROM TO: a read-only view
bind() {
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
  mount -o remount,bind,ro "$root$2"
}
bind "$dir/app" /app
bind "$dir/usr/local/bin" /clipflow
bind "$CLIPFLOW_UNSHARED" /node
for base in /usr /bin /lib /lib64 /etc; do
  [ ! -e "$base" ] || bind "$base" "$base"
done
mkdir "$root/proc" "$root/dev" "$root/tmp"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount -o remount,ro "$root"

unset CLIPFLOW_UNSHARED
cd /
exec chroot "$root" setpriv --ambient-caps=-all --inh-caps=-all --bounding-set=-all --no-new-privs \
  env --chdir=/app PATH=/clipflow:/node:/usr/bin:/bin TMPDIR=/tmp HOME=/tmp clipflow "$@"
