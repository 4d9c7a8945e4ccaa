
complete -c wharf -f -n '__fish_seen_subcommand_from show update delete rm download get' -a '(wharf list --words --timeout 1s 2>/dev/null)'
