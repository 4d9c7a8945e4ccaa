#!/usr/bin/env bash
# One file up and down: wharf's client beside curl, on the same server, in turns. What is printed is
# the median of the rounds: wall time, processor time of the client, and its largest resident size.
#
#   benches/client.sh [MIB] [ROUNDS]     (1024 and 5; needs curl, GNU time, sha256sum)
set -euo pipefail
cd "$(dirname "$0")/.."
mib=${1:-1024} rounds=${2:-5}

cargo build --release --quiet
wharf=$PWD/target/release/wharf
dir=$(mktemp -d)
"$wharf" --listen 127.0.0.1:0 --dir "$dir/store" --durability relaxed --access admin:bench 2>"$dir/log" &
server=$!
trap 'kill $server; wait $server || true; rm -rf "$dir"' EXIT
until url=$(grep -o 'http://[0-9.:]*' "$dir/log"); do sleep 0.1; done
export WHARF_URL=$url WHARF_TOKEN=bench
cd "$dir"
head -c "${mib}M" /dev/urandom >file.bin

timed() { # timed NAME COMMAND...: what it took, into a file of that name
    local name=$1
    shift
    /usr/bin/time -a -o "times.$name" -f '%e %U %S %M' "$@"
}
delete() { "$wharf" delete -q "$(grep -o "[0-9a-z]\{26\}" answer | head -1)"; }

# The one that is downloaded; a round brings everything into the page cache.
id=$("$wharf" upload -q file.bin)
for ((round = 0; round <= rounds; round++)); do
    timed curl-upload curl -sS --form file=@file.bin "$url/upload" >answer
    delete
    timed wharf-upload "$wharf" upload -q file.bin >answer
    delete
    timed curl-download curl -sS -o got.bin "$url/files/$id/file.bin"
    rm got.bin
    timed curl-checked sh -c 'curl -sS -o got.bin "$1" && sha256sum -b got.bin >/dev/null' - "$url/files/$id/file.bin"
    rm got.bin
    mkdir got
    timed wharf-download "$wharf" download -q "$id" -o got
    cmp file.bin got/file.bin
    rm -r got
    [ $round -gt 0 ] || rm times.*
done

median() { sort -n | awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'; }
echo "$mib MiB, median of $rounds rounds"
printf '%-44s %8s %8s %10s\n' '' 'wall s' 'CPU s' 'peak KiB'
row() {
    printf '%-44s %8.2f %8.2f %10d\n' "$2" "$(awk '{ print $1 }' "times.$1" | median)" \
        "$(awk '{ print $2 + $3 }' "times.$1" | median)" "$(awk '{ print $4 }' "times.$1" | median)"
}
row curl-upload 'curl --form'
row wharf-upload 'wharf upload'
row curl-download 'curl -o'
row curl-checked 'curl -o, then sha256sum'
row wharf-download 'wharf download (sha-256 checked)'
