#!/usr/bin/env bash
# Several instances of wharf on one machine, to try them out: a Redis Cluster of six nodes, and
# three instances that share one directory, for this machine alone. Stays until Ctrl-C, and ends all of it
# then.
#
#   deploy/cluster.sh [DIR]     keeps everything in DIR; without it in a folder that is removed
#
#   PORT=8081           the first instance's port; the others follow
#   REDIS_PORT=7001     the first node's port; the others follow
#   WHARF=FILE          the program; without it, it is built
set -euo pipefail

port=${PORT:-8081}
redis_port=${REDIS_PORT:-7001}
if [ -z "${WHARF:-}" ]; then
    source=$(dirname "$0")/..
    cargo build --release --quiet --manifest-path "$source/Cargo.toml"
    WHARF=$source/target/release/wharf
fi
WHARF=$(realpath "$WHARF")
for program in redis-server redis-cli; do
    command -v $program >/dev/null || { echo "$program is missing (Debian: redis-server)" >&2; exit 1; }
done

dir=${1:-$(mktemp -d)}
keep=${1:-}
children=()
end() {
    trap - EXIT INT TERM
    [ ${#children[@]} -eq 0 ] || kill "${children[@]}" 2>/dev/null || true
    wait
    [ -n "$keep" ] || rm -rf "$dir"
}
trap end EXIT
trap 'exit 0' INT TERM

nodes=()
for i in 0 1 2 3 4 5; do
    node=$((redis_port + i))
    mkdir -p "$dir/redis-$node"
    # In a folder of its own: each writes nodes.conf there.
    (cd "$dir/redis-$node" && exec redis-server --port $node --bind 127.0.0.1 \
        --cluster-enabled yes --cluster-node-timeout 1000 --repl-diskless-sync-delay 0 \
        --save '' --appendonly no \
        >log 2>&1) &
    children+=($!)
    nodes+=("127.0.0.1:$node")
done

say() { redis-cli -p $redis_port "$@" 2>/dev/null || true; }
until [ "$(say ping)" = PONG ]; do sleep 0.1; done
if ! say cluster info | grep -q cluster_state:ok; then
    until redis-cli --cluster create "${nodes[@]}" --cluster-replicas 1 --cluster-yes >"$dir/create.log" 2>&1; do
        sleep 0.2
    done
fi
for node in "${nodes[@]}"; do # it is created before all know of it
    until redis-cli -p "${node#*:}" cluster info | grep -q cluster_state:ok; do sleep 0.1; done
done

seeds=$(IFS=,; echo "${nodes[*]}")
for i in 0 1 2; do
    "$WHARF" --listen 127.0.0.1:$((port + i)) --dir "$dir/upload" --instance "wharf-$i" \
        --redis "redis-cluster://$seeds" 2>"$dir/wharf-$i.log" &
    children+=($!)
done
for i in 0 1 2; do
    until curl -fs -o "$dir/ready" "localhost:$((port + i))/readyz"; do
        kill -0 "${children[$((6 + i))]}" 2>/dev/null || { cat "$dir/wharf-$i.log" >&2; exit 1; }
        sleep 0.1
    done
    echo "http://localhost:$((port + i)) is ready"
done
echo "logs and files are in $dir; Ctrl-C ends all"
wait
