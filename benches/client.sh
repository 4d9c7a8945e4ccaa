#!/usr/bin/env bash
# One file up and down: wharf's client beside curl, on the same servers, in turns. One server gives
# digests, which wharf compares and curl does not; the other gives none, and both do the same. What
# is printed is the median of the rounds: wall time, processor time of the client, and its largest
# resident size.
#
#   benches/client.sh [MIB] [ROUNDS]     (1024 and 5; needs curl, GNU time, sha256sum)
set -euo pipefail
cd "$(dirname "$0")/.."
mib=${1:-1024} rounds=${2:-5}

cargo build --profile dist --quiet
wharf=$PWD/target/dist/wharf
dir=$(mktemp -d)
servers=()
trap 'kill "${servers[@]}"; wait || true; rm -rf "$dir"' EXIT
serve() { # serve NAME FLAG...: a server, whose address is then in url.NAME
    local name=$1
    shift
    "$wharf" --listen 127.0.0.1:0 --dir "$dir/$name" --durability relaxed --access admin:bench "$@" 2>"$dir/log.$name" &
    servers+=($!)
    until grep -o 'http://[0-9.:]*' "$dir/log.$name" >"$dir/url.$name"; do sleep 0.1; done
}
serve digest
serve none --digest none
export WHARF_TOKEN=bench XDG_STATE_HOME=$dir/state
cd "$dir"
WHARF_URL=$(cat url.digest)
export WHARF_URL
head -c "${mib}M" /dev/urandom >file.bin

timed() { # timed NAME COMMAND...: what it took, into a file of that name
    local name=$1
    shift
    /usr/bin/time -a -o "times.$name" -f '%e %U %S %M' "$@"
}
delete() { "$wharf" delete -q "$(grep -o "[0-9a-z]\{26\}" answer | head -1)"; }
download() { # download NAME SERVER ID
    mkdir got
    timed "$1" "$wharf" download -q "$3" -s "$2" -d got
    cmp file.bin got/file.bin
    rm -r got
}

# Those that are downloaded; a round brings everything into the page cache.
bare=$(cat url.none)
id=$("$wharf" upload --print id file.bin)
bare_id=$("$wharf" upload --print id file.bin --server "$bare")
for ((round = 0; round <= rounds; round++)); do
    timed curl-upload curl -sS --form file=@file.bin "$WHARF_URL/upload" >answer
    delete
    timed wharf-upload "$wharf" upload -q file.bin >answer
    delete
    timed curl-download curl -sS -o got.bin "$bare/files/$bare_id/file.bin"
    rm got.bin
    download wharf-download "$bare" "$bare_id"
    timed curl-checked sh -c 'curl -sS -o got.bin "$1" && sha256sum -b got.bin >/dev/null' - "$WHARF_URL/files/$id/file.bin"
    rm got.bin
    download wharf-checked "$WHARF_URL" "$id"
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
row wharf-download 'wharf download, no digest given'
row curl-checked 'curl -o, then sha256sum'
row wharf-checked 'wharf download, sha-256 compared'
