
_wharf_words() {
    _wharf "$@"
    local word typed=${COMP_WORDS[COMP_CWORD]}
    case ${COMP_WORDS[1]} in show | update | delete | rm | download | get) ;; *) return ;; esac
    [[ $typed == -* || ${COMP_WORDS[COMP_CWORD - 1]} == -* ]] && return
    COMPREPLY=()
    while read -r word; do
        [[ $word == "$typed"* ]] && COMPREPLY+=("$(printf %q "$word")")
    done < <(wharf list --words --timeout 1s 2>/dev/null | sort -u)
}
complete -F _wharf_words -o bashdefault -o default wharf
