
_wharf_words() {
    local -aU found
    found=(${(f)"$(wharf list --words --timeout 1s 2>/dev/null)"})
    compadd -a found
}
