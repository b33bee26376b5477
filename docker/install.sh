#!/bin/sh
# Installs clipflow from this checkout into DIR: /app with the production dependencies, and /usr/local/bin/clipflow.
# The Dockerfile does it in its build stage; without a container engine, DIR can be packed as an image by other means.
# KEEP names the platform of onnxruntime-node that stays (its package carries all).
set -eu
dir=${1:?usage: docker/install.sh DIR}
keep=${KEEP:-linux/$(node -p process.arch)}
cd "$(dirname "$0")/.."
mkdir -p "$dir/app" "$dir/usr/local/bin"
dir=$(cd "$dir" && pwd)
packed=$(npm pack --silent --ignore-scripts --pack-destination "$dir")
tar -xzf "$dir/$packed" -C "$dir/app" --strip-components=1
rm "$dir/$packed"
cp package-lock.json .npmrc "$dir/app/"
cp -r client "$dir/app/"
(cd "$dir/app" && npm ci --omit=dev --ignore-scripts --no-audit --no-fund)
for platform in "$dir"/app/node_modules/onnxruntime-node/bin/napi-v*/*/*; do
  case $platform in
    */"$keep") ;;
    *) rm -r "$platform" ;;
  esac
done
printf '#!/bin/sh\nexec node --enable-source-maps /app/dist/src/cli/main.js "$@"\n' > "$dir/usr/local/bin/clipflow"
chmod 755 "$dir/usr/local/bin/clipflow"
